"""Templates searched for the service, out of the store and back into it.

The files are a stranger's: read in a process of its own, with limits, and held against what is searched at the most
before a search begins. Legend: P probes, N references, D dimensions.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

from app.charts.det import galleries_det
from app.charts.galleries import gallery_chart, rank_chart
from app.dataset.galleries import GalleriesAsked
from app.dataset.keys import DatasetKeys, EvaluationKeys
from app.dataset.manifest import read_manifest
from app.jobs.evaluations.records import AcceptedEvaluation, Handed
from app.jobs.records import write_json
from app.storage import ObjectStore
from workers.biometrics.errors import ScoresRefused
from workers.verdict.apart import laid_down, read_apart
from workers.verdict.gallery import Asked, Measured, decide_galleries, measure_galleries, steps_to
from workers.verdict.gallery_files import Named, Sides, named_of, sides_of
from workers.verdict.gallery_words import gallery_junit, gallery_markdown
from workers.verdict.kept_galleries import pack, unpack
from workers.verdict.named_blocks import NamedBlock
from workers.verdict.search_page import galleries_page

MOST_ROWS = 2**21
"""Templates of a file."""

MOST_BYTES = 400 * 2**20
"""Of all templates together, as float32: searching takes six times as much, and a worker may have 4 GiB."""

MOST_PRODUCTS = 10**13
"""P · N · D: some minutes of two cores."""

MOST_SEARCHES = 5_000_000
"""P · sizes · FPIRs: each is resampled a thousand times."""

MOST_SCORES = 50_000_000
"""P · sizes · draws: so many best scores are held."""


def evaluate_stored_templates(
    store: ObjectStore, accepted: AcceptedEvaluation, handed: Handed, should_cancel: Callable[[], bool]
) -> None:
    """Search, and write what came out, the result last; run twice, it leaves the same bytes.

    Raises ScoresRefused and so on for what no repetition would mend, ObjectNotFound where something is gone.
    """
    at = EvaluationKeys(accepted.tenant, accepted.id)
    how, rule = accepted.galleries, accepted.searches
    name, roles = accepted.name or "templates", None
    if accepted.dataset is not None:
        summary, rows = read_manifest(store.read(DatasetKeys(accepted.tenant, accepted.dataset).manifest))
        name, roles = accepted.release or summary.name, {row.id: row.role for row in rows}
    asked = replace(Asked.of(how, rule), should_cancel=should_cancel)
    files = _Files(store, how)

    def sides(handed: Handed, whose: str) -> Sides:
        found = sides_of(
            files.read(handed, f"{whose}templates"),
            files.read_each(handed.distractors, f"{whose}distractors"),
            files.read_each(handed.real_distractors, f"{whose}real distractors"),
            roles=roles,
        )
        _check_amount(found, asked)
        return found

    new, baseline = sides(handed, ""), accepted.baseline
    old: Sides | Measured | None = None
    if baseline is not None and baseline.evaluation is not None:
        old = unpack(store.get(EvaluationKeys(accepted.tenant, baseline.evaluation).compared))
    elif baseline is not None:
        old = sides(baseline, "the baseline's ")
    measured, before = measure_galleries(new, old, asked)
    found = decide_galleries(name, new, measured, before, asked)
    store.put(at.compared, pack(measured))
    store.put(at.junit, gallery_junit(found, 0.0, accepted.created_at), "application/xml")
    store.put(at.markdown, gallery_markdown(found, PICTURES).encode(), "text/markdown; charset=utf-8")
    if det := galleries_det(found):
        store.put(at.det, det.document().encode(), "image/svg+xml")
    store.put(at.galleries, gallery_chart(found).document().encode(), "image/svg+xml")
    store.put(at.rank_one, rank_chart(found).document().encode(), "image/svg+xml")
    store.put(at.page, galleries_page(found), "text/html; charset=utf-8")
    write_json(store, at.result, found)


PICTURES = {"FNIR over gallery sizes": "galleries.svg", "missed at rank one": "rank-one.svg", "DET": "det.svg"}
"""Where they lie beside the summary."""


class _Files:
    """Reads files, all of them together of at most MOST_BYTES."""

    def __init__(self, store: ObjectStore, how: GalleriesAsked) -> None:
        self._store = store
        self._how = how
        self._left = MOST_BYTES

    def read(self, handed: Handed, what: str) -> Named:
        with laid_down(self._store.read(str(handed.data))) as path:
            blocks = cast(Iterator[NamedBlock], read_apart(path, "named", MOST_ROWS))
            return named_of(self._counted(blocks), self._how.metric, what)

    def read_each(self, handed: tuple[Handed, ...], what: str) -> list[Named]:
        numbered = len(handed) > 1
        return [self.read(one, f"{what}{f' ({number})' if numbered else ''}") for number, one in enumerate(handed, 1)]

    def _counted(self, blocks: Iterator[NamedBlock]) -> Iterator[NamedBlock]:
        for block in blocks:
            self._left -= block.templates.nbytes
            if self._left < 0:
                raise ScoresRefused(
                    f"with this file there are more than {MOST_BYTES // 2**20} MiB of templates as float32; hand in "
                    "fewer distractors, or search them on your own machine: facsimile evaluate without --remote"
                )
            yield block


def _check_amount(sides: Sides, asked: Asked) -> None:
    """Raise ScoresRefused for more than is searched here."""
    probes, width = sides.probes.templates.shape
    references = max((len(pool) for pool in sides.pools.values()), default=0)
    sizes = len(asked.sizes or steps_to(references))
    for amount, most, of in (
        (probes * references * width, MOST_PRODUCTS, f"{references:,} references of {width:,} numbers"),
        (probes * sizes * len(asked.rule.at_fpir), MOST_SEARCHES, f"{sizes} sizes and {len(asked.rule.at_fpir)} FPIRs"),
        (probes * sizes * asked.draws, MOST_SCORES, f"{sizes} sizes and {asked.draws} draws"),
    ):
        if amount > most:
            fewer = max(probes * most // amount, 1)
            raise ScoresRefused(
                f"{probes:,} probes against {of} are more than is searched here; hand in about {fewer:,} probes, or "
                "search them on your own machine: facsimile evaluate without --remote"
            )
