"""An evaluation of candidate lists asked of the service, out of the store and back into it."""

from collections.abc import Callable, Iterable, Iterator
from typing import cast

from app.charts.det import lists_det
from app.dataset.evaluation import EvaluatedSet
from app.dataset.keys import DatasetKeys, EvaluationKeys
from app.dataset.manifest import read_manifest
from app.jobs.evaluations.records import AcceptedEvaluation, Handed
from app.jobs.records import write_json
from app.storage import ObjectStore
from workers.biometrics.errors import ScoresRefused
from workers.verdict.apart import laid_down, read_apart
from workers.verdict.candidate_files import ListBlock
from workers.verdict.candidates import Searched, gather_lists
from workers.verdict.enrolled import Enrolled, enrolled_of
from workers.verdict.kept_lists import pack, unpack
from workers.verdict.search_page import lists_page
from workers.verdict.search_words import search_junit, search_markdown
from workers.verdict.searching import evaluate_searches, same_searches

MOST_LABEL_BYTES = 64 * 2**20
"""Of a file of a gallery's labels: more than there can be of one set."""


def evaluate_stored_lists(
    store: ObjectStore, accepted: AcceptedEvaluation, handed: Handed, should_cancel: Callable[[], bool]
) -> None:
    """Evaluate lists and write what came out, the result last; run twice, it leaves the same bytes.

    Raises ScoresRefused and so on for what no repetition would mend, ObjectNotFound where something is gone.
    """
    at = EvaluationKeys(accepted.tenant, accepted.id)
    summary, rows = read_manifest(store.read(DatasetKeys(accepted.tenant, accepted.of).manifest))
    labels = None if accepted.gallery is None else _labels(store.read(str(accepted.gallery.data)))
    enrolled = enrolled_of(summary, rows, labels)

    def lists_of(handed: Handed, what: str) -> Searched:
        if handed.evaluation is not None:
            return unpack(store.get(EvaluationKeys(accepted.tenant, handed.evaluation).compared))
        return _read(store, handed, enrolled, what, should_cancel)

    found = lists_of(handed, "the lists")
    baseline = None if accepted.baseline is None else lists_of(accepted.baseline, "the baseline's lists")
    if baseline is not None and not same_searches(found, baseline):
        raise ScoresRefused(
            "the baseline's lists are of other searches: the same probes must have been searched in the same gallery"
        )
    listed = summary.comparisons
    of = EvaluatedSet(
        dataset=accepted.of,
        release=accepted.release,
        name=summary.name,
        comparisons=listed.mated + listed.non_mated if listed else 0,
        comparisons_sha256=summary.comparisons_sha256,
    )
    result = evaluate_searches(of, found, baseline, accepted.searches)
    store.put(at.compared, pack(found))
    store.put(at.junit, search_junit(result, 0.0, accepted.created_at), "application/xml")
    pictures = {}
    if det := lists_det(result):
        pictures = {"DET": "det.svg"}
        store.put(at.det, det.document().encode(), "image/svg+xml")
    store.put(at.page, lists_page(result), "text/html; charset=utf-8")
    store.put(at.markdown, search_markdown(result, pictures).encode(), "text/markdown; charset=utf-8")
    write_json(store, at.result, result)


def _read(
    store: ObjectStore, handed: Handed, enrolled: Enrolled, what: str, should_cancel: Callable[[], bool]
) -> Searched:
    """Take lists in that a stranger handed in: read in a process of its own, with limits."""
    with (
        laid_down(store.read(str(handed.data))) as path,
        laid_down([enrolled.numbered.astype("<i8").tobytes()]) as numbered,
    ):
        blocks = cast(Iterator[ListBlock], read_apart(path, "candidates", 0, numbered))
        return gather_lists(blocks, enrolled.probes, enrolled.gallery, what=what, should_cancel=should_cancel)


def _labels(chunks: Iterable[bytes]) -> list[str]:
    """The labels in a file, a line each; raises ScoresRefused for what is no list of them."""
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) > MOST_LABEL_BYTES:
            raise ScoresRefused(f"the gallery's labels are more than {MOST_LABEL_BYTES:,} bytes; write one a line")
    try:
        return data.decode("utf-8").split()
    except UnicodeDecodeError as exc:
        raise ScoresRefused("the gallery's labels are no text in UTF-8; write one a line") from exc
