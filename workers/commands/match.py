"""`facsimile match`: a matcher over a pulled release, sample by sample, and its scores of the release's comparisons."""

import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import typer

from app.cli.bars import Bars
from app.cli.options import JsonOption
from app.cli.output import as_json, fields
from app.cli.outputs import demand_outputs
from app.client.errors import UsageProblem, VerificationFailed
from app.client.files import write_whole
from app.client.manifest import Manifest
from app.client.paths import inside, set_folder
from app.client.released import Comparisons
from app.config import worker_settings
from app.dataset.products import TEMPLATES
from app.dataset.shard import SampleRow
from workers.biometrics.score_files import ScoredPair, write_scores

if TYPE_CHECKING:
    from workers.matchers.base import Matcher
    from workers.matchers.extraction import Extraction, Image

Form = Literal["bob", "simple"]
OnProgress = Callable[[int, int], None]

WINDOW = 65_536
"""Comparisons made at a time."""


@dataclass(kw_only=True)
class Matched:
    """What came of matching a set."""

    matcher: str
    version: str
    samples: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    """Samples without a template: `failure_to_enrol` of references, `failure_to_extract` of probes."""
    reasons: dict[str, int] = field(default_factory=dict)
    comparisons: int = 0
    failed: int = 0
    """Comparisons that were not completed; they have no score in the file."""


def match_command(
    folder: Annotated[Path, typer.Argument(help="Folder of a pulled release, in the plain layout.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Score file to write (CSV).")] = None,
    matcher: Annotated[str, typer.Option(help="Matcher that is installed.")] = "sface",
    form: Annotated[Form, typer.Option(help="bob: Bob's columns; simple: reference,probe,score.")] = "bob",
    json_: JsonOption = False,
    templates: Annotated[Path | None, typer.Option(help="Templates to write (npz), to be searched.")] = None,
) -> None:
    """Score every comparison that a release lists, with a matcher that is installed; or write its templates.

    What your own matcher does instead: read comparisons.csv, write a score file that `facsimile evaluate` takes.
    A sample without a template makes no error: its comparisons have no score, and are counted as failed.
    """
    from workers.matchers.registry import load_matcher

    if not folder.is_dir():
        raise UsageProblem(f"{folder} is no folder")
    if out is None and templates is None:
        raise UsageProblem("say what to write: --out for scores, --templates for templates, or both")
    demand_outputs({"--out": out, "--templates": templates})
    loaded = load_matcher(matcher, worker_settings())
    with Bars() as bars:
        found = match(
            folder,
            loaded,
            out,
            templates=templates,
            form=form,
            on_samples=partial(bars.amount, "extracting templates"),
            on_comparisons=partial(bars.amount, "comparing"),
        )
    if json_:
        written = {"out": out, "templates": templates}
        as_json({**{name: None if path is None else str(path) for name, path in written.items()}, **vars(found)})
        return
    fields(
        [
            ("matcher", f"{found.matcher} {found.version}; {loaded.provenance}"),
            ("samples", f"{found.samples:,}"),
            ("failures", ", ".join(f"{kind.replace('_', ' ')}: {count:,}" for kind, count in found.failures.items())),
            *(
                [("comparisons", f"{found.comparisons:,}, of which {found.failed:,} have no score"), ("scores", out)]
                if out
                else []
            ),
            *([("templates", templates)] if templates else []),
        ]
    )


def match(
    folder: Path,
    matcher: "Matcher",
    out: Path | None,
    *,
    templates: Path | None = None,
    form: Form = "bob",
    on_samples: OnProgress = lambda done, total: None,
    on_comparisons: OnProgress = lambda done, total: None,
) -> Matched:
    """Extract every sample once, compare as comparisons.csv lists, and write the scores; a file appears when whole.

    `templates` is an .npz of ids, subjects, roles and templates; a sample without one has a row of NaN.

    Raises VerificationFailed where a file is not what the manifest says: a damaged set must not become bad scores.
    """
    from workers.matchers.base import Role
    from workers.matchers.extraction import extract_many

    folder = set_folder(folder)
    manifest = Manifest(folder / "manifest.json")
    if kept := manifest.summary.templates:
        raise UsageProblem(
            f"{folder} holds templates of {kept.matcher} and no images to be matched; hand {TEMPLATES.file} to "
            "'facsimile evaluate --templates'"
        )
    comparisons = Comparisons(folder) if out is not None else None
    if comparisons is not None:
        len(comparisons)  # goes through the whole list: one that is not the manifest's is told before the work
    rows = list(manifest.samples())
    numbers = {row.id: number for number, row in enumerate(rows)}
    table = extract_many(
        matcher,
        _images(folder, rows),
        Role.PROBE,  # each sample once, for both sides; failures are told by the manifest
        total=len(rows),
        on_progress=lambda done, total: on_samples(done, total or 0),
    )
    found = Matched(matcher=matcher.name, version=matcher.version, samples=len(rows), reasons=table.reasons())
    kinds = Counter(_kind(rows[number]) for number in table.failures)
    found.failures = {kind: kinds[kind] for kind in ("failure_to_enrol", "failure_to_extract")}
    if templates is not None:
        write_whole(templates, _npz(manifest.summary.dataset, rows, table))
    if out is not None and comparisons is not None:
        compared = _compared(matcher, table, numbers, comparisons, found, on_comparisons)
        write_whole(out, write_scores(compared, form))
    return found


def _npz(dataset: str, rows: list[SampleRow], table: "Extraction") -> bytes:
    file = io.BytesIO()
    np.savez(
        file,
        ids=np.array([row.id for row in rows]),
        subjects=np.array([f"{dataset}/{row.subject}" for row in rows]),
        roles=np.array([row.role for row in rows]),
        templates=table.templates,
        matcher=np.array([f"{table.matcher} {table.version}"]),
    )
    return file.getvalue()


def _compared(
    matcher: "Matcher",
    table: "Extraction",
    numbers: dict[str, int],
    comparisons: Comparisons,
    found: Matched,
    on_progress: OnProgress,
) -> Iterator[ScoredPair]:
    from workers.matchers.extraction import compare_pairs

    total = len(comparisons)
    left = iter(comparisons)
    while window := list(itertools.islice(left, WINDOW)):
        try:
            pairs = np.array([(numbers[pair.reference_id], numbers[pair.probe_id]) for pair in window])
        except KeyError as exc:
            raise VerificationFailed(
                f"comparisons.csv names a sample {exc} that the manifest does not list; pull the set anew",
                ["comparisons.csv"],
            ) from exc
        for pair, score in zip(window, compare_pairs(matcher, table, table, pairs), strict=True):
            completed = bool(np.isfinite(score))
            found.failed += not completed
            yield ScoredPair(
                pair.reference_id,
                _subject(pair.reference_id),
                pair.probe_id,
                _subject(pair.probe_id),
                float(score) if completed else None,
            )
        found.comparisons += len(window)
        on_progress(found.comparisons, total)


def _images(folder: Path, rows: list[SampleRow]) -> Iterator["Image"]:
    from workers.images import decode

    for row in rows:
        path = inside(folder, row.file)
        try:
            data = path.read_bytes()
        except OSError as exc:
            text = f"{row.file} cannot be read: {exc.strerror}; pull the set anew"
            raise VerificationFailed(text, [row.file]) from exc
        if hashlib.sha256(data).hexdigest() != row.file_sha256:
            raise VerificationFailed(f"{row.file}: its bytes have another digest; pull the set anew", [row.file])
        yield partial(decode, data, row.file)


def _kind(row: SampleRow) -> str:
    return "failure_to_extract" if row.role == "probe" else "failure_to_enrol"


def _subject(sample: str) -> str:
    return sample.partition("_")[0]
