"""Templates for searches made here: whose they are, who is searched for, and which references are of nobody.

An .npz holds `ids` [N] and `templates` [N, D], and, unless the ids are a dataset's own, `subjects` [N]; a Parquet file
`id`, `template` and `subject`. `roles` (`role`) may say reference, probe or distractor; left out, the first of a
subject is its reference and the others are probes. A failed extraction is a row of NaN.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.biometrics.errors import ScoresRefused
from workers.biometrics.galleries import Pool
from workers.biometrics.templates import Metric, TemplateTable
from workers.verdict.blocks import NOWHERE, place_of
from workers.verdict.columns import MOST_ROWS
from workers.verdict.named_blocks import NamedBlock, joined, read_named_blocks

Floats32 = NDArray[np.float32]

ROLES = ("reference", "probe", "distractor")

NAMED = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Named:
    """A file's templates."""

    what: str
    """The file, for refusals."""
    ids: list[str]
    """[N]"""
    subjects: list[str]
    """[N]"""
    roles: list[str] | None
    """[N]"""
    templates: Floats32
    """[N, D]"""

    @property
    def of_nobody(self) -> bool:
        """Whether every id is that of a sample of a dataset of ours."""
        return all(place_of(name) != NOWHERE for name in self.ids)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sides:
    """Who is searched, for whom, among whom."""

    probes: TemplateTable
    """Those with a template."""
    references: TemplateTable
    """Those with a template, of the probes' file alone."""
    pools: Mapping[str, Pool]
    """By what their references are: real, synthetic, mixed; those that there are."""
    probe_ids: tuple[str, ...]
    strangers: NDArray[np.bool_]
    """[P] probes whose subject has no reference; one that could not be enrolled is none of them."""
    probes_failed: int
    references_failed: int


def read_named(path: Path, metric: Metric = "cosine", most: int = MOST_ROWS) -> Named:
    """Read a file of templates; raises ScoresRefused, which names the file."""
    return named_of(read_named_blocks(path, most), metric, str(path))


def named_of(blocks: Iterator[NamedBlock], metric: Metric, what: str) -> Named:
    """Templates out of the blocks of a file, wherever it was read; raises ScoresRefused, which names the file."""
    try:
        whole = joined(blocks)
        ids = whole.columns["ids"]
        if len(set(ids)) < len(ids):
            twice = [name for name, count in Counter(ids).items() if count > 1]
            raise ScoresRefused(f"{len(twice):,} ids stand twice ({_first(twice)}); leave each once")
        _check_numbers(whole.templates, ids, metric)
        subjects = whole.columns.get("subjects") or _subjects(ids)
    except ScoresRefused as exc:
        raise ScoresRefused(f"{what}: {exc}") from exc
    return Named(what=what, ids=ids, subjects=subjects, roles=whole.columns.get("roles"), templates=whole.templates)


def _check_numbers(templates: Floats32, ids: list[str], metric: Metric) -> None:
    """Raise ScoresRefused for templates that are none, naming them: partly NaN, infinite, or without a direction."""
    missing = np.isnan(templates)
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.linalg.norm(templates, axis=1)
    odd = (missing.any(1) & ~missing.all(1)) | np.isinf(length)
    if odd.any():
        names = _first([ids[row] for row in np.flatnonzero(odd)])
        raise ScoresRefused(
            f"{int(odd.sum()):,} templates hold NaN, infinity or numbers too large for float32 ({names}); a "
            "failed extraction is a row of NaN throughout"
        )
    if metric == "cosine" and (zero := np.flatnonzero(length == 0)).size:
        names = _first([ids[row] for row in zero])
        raise ScoresRefused(
            f"{zero.size:,} templates are all zeros ({names}), which have no direction; a failed extraction is "
            "a row of NaN"
        )


def _first(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(name[:60] for name in names[:NAMED]) + more


def _subjects(ids: list[str]) -> list[str]:
    strange = [name for name in ids if place_of(name) == NOWHERE]
    if strange:
        raise ScoresRefused(
            f"{len(strange):,} ids are no samples of a dataset of ours ({_first(strange)}), "
            "so it must say whose templates they are: an array subjects (a column subject)"
        )
    return [name.partition("_")[0] for name in ids]


def sides_of(
    handed: Named,
    synthetic: Iterable[Named],
    real: Iterable[Named],
    *,
    roles: Mapping[str, str] | None = None,
) -> Sides:
    """Sort templates by role. `roles` are those of a dataset's samples; references of a dataset of ours are synthetic.

    Of a file of distractors every subject's first template is taken. Raises ScoresRefused where a distractor's subject
    is one of the probes' file or comes twice, where widths differ, and where there is no probe.
    """
    told = _roles(handed, roles)
    codes: dict[str, int] = {}
    tables: dict[str, tuple[list[int], list[int]]] = {role: ([], []) for role in ROLES}
    for row, (subject, role) in enumerate(zip(handed.subjects, told, strict=True)):
        tables[role][0].append(row)
        tables[role][1].append(codes.setdefault(subject, len(codes)))
    enrolled = Counter(subject for subject, role in zip(handed.subjects, told, strict=True) if role != "probe")
    if several := [subject for subject, count in enrolled.items() if count > 1]:
        raise ScoresRefused(
            f"{handed.what}: {len(several):,} subjects have several references ({_first(several)}); a gallery "
            "holds one template a subject, so say by roles which"
        )
    made = {role: _table(handed.templates[rows], owners) for role, (rows, owners) in tables.items()}
    if not len(made["probe"]):
        raise ScoresRefused(f"{handed.what} has no probe: no subject has a second template, and no role says so")
    if not made["probe"].extracted.any():
        raise ScoresRefused(f"{handed.what}: no probe has a template; every one is NaN")
    own = _joined([made["reference"], made["distractor"]])
    pieces = [(own, np.full(len(own), roles is not None or handed.of_nobody))]
    for files, of_nobody in ((real, False), (synthetic, True)):
        for named in files:
            if named.templates.shape[1] != handed.templates.shape[1]:
                raise ScoresRefused(
                    f"{named.what} has templates of {named.templates.shape[1]} numbers and {handed.what} of "
                    f"{handed.templates.shape[1]}; all must be of one matcher"
                )
            table = _distractors(named, codes)
            pieces.append((table, np.full(len(table), of_nobody)))
    whole = _joined([table for table, _ in pieces])
    kinds = np.concatenate([kind for _, kind in pieces])
    failed = int((~whole.extracted).sum())
    everybody = Pool(table=whole.take(whole.extracted), synthetic=kinds[whole.extracted])
    pools = {
        "real": everybody.take(~everybody.synthetic),
        "synthetic": everybody.take(everybody.synthetic),
        "mixed": everybody,
    }
    alone = not (len(pools["real"]) and len(pools["synthetic"]))
    ids = [handed.ids[row] for row in tables["probe"][0]]
    extracted = made["probe"].extracted
    return Sides(
        probes=made["probe"].take(extracted),
        references=made["reference"].take(made["reference"].extracted),
        pools={name: pool for name, pool in pools.items() if len(pool) and not (alone and name == "mixed")},
        strangers=~np.isin(made["probe"].subjects[extracted], made["reference"].subjects),
        probe_ids=tuple(name for name, there in zip(ids, extracted, strict=True) if there),
        probes_failed=int((~extracted).sum()),
        references_failed=failed,
    )


def _roles(handed: Named, roles: Mapping[str, str] | None) -> list[str]:
    if roles is not None:
        if strange := [name for name in handed.ids if name not in roles]:
            raise ScoresRefused(f"{handed.what}: {len(strange):,} ids are no samples of the set ({_first(strange)})")
        return [roles[name] for name in handed.ids]
    if handed.roles is not None:
        if wrong := [(name, role) for name, role in zip(handed.ids, handed.roles, strict=True) if role not in ROLES]:
            raise ScoresRefused(
                f"{handed.what}: {len(wrong):,} roles are not known ("
                f"{_first([f'{name[:30]} {role[:20]!r}' for name, role in wrong])}); a role is {', '.join(ROLES)}"
            )
        return list(handed.roles)
    seen: set[str] = set()
    told = []
    for subject in handed.subjects:
        told.append("probe" if subject in seen else "reference")
        seen.add(subject)
    return told


def _distractors(named: Named, codes: dict[str, int]) -> TemplateTable:
    """Every subject's first template; its code is added to `codes`."""
    first: dict[str, int] = {}
    for row, subject in enumerate(named.subjects):
        first.setdefault(subject, row)
    if clash := [subject for subject in first if subject in codes]:
        raise ScoresRefused(
            f"{named.what}: {len(clash):,} of its subjects are there already ({_first(clash)}); "
            "distractors are other people, under other names"
        )
    owners = [codes.setdefault(subject, len(codes)) for subject in first]
    return _table(named.templates[list(first.values())], owners)


def _table(templates: Floats32, owners: list[int]) -> TemplateTable:
    return TemplateTable(templates=templates, subjects=np.array(owners, np.int64))


def _joined(tables: list[TemplateTable]) -> TemplateTable:
    return TemplateTable(
        templates=np.concatenate([table.templates for table in tables]),
        subjects=np.concatenate([table.subjects for table in tables]),
    )
