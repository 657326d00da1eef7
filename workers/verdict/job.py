"""An evaluation asked of the service, out of the store and back into it."""

from collections.abc import Callable
from typing import Literal, cast

from app.charts.det import det_chart
from app.dataset.comparisons import ComparisonsFile
from app.dataset.evaluation import EvaluatedSet, Rule
from app.dataset.keys import DatasetKeys, EvaluationKeys
from app.dataset.manifest import read_manifest
from app.jobs.evaluations.records import AcceptedEvaluation, Handed, summary_of
from app.jobs.records import write_json
from app.storage import ObjectStore
from workers.verdict.album import album_of
from workers.verdict.compared import ComparedScores, compare
from workers.verdict.evaluate import evaluate
from workers.verdict.gallery_job import evaluate_stored_templates
from workers.verdict.junit import junit_xml
from workers.verdict.kept import pack, unpack
from workers.verdict.list_job import evaluate_stored_lists
from workers.verdict.listed import Listed, read_comparisons
from workers.verdict.sources import read_blocks
from workers.verdict.wording import markdown


def evaluate_stored(store: ObjectStore, accepted: AcceptedEvaluation, should_cancel: Callable[[], bool]) -> None:
    """Evaluate and write what came out, the result last; run twice, it leaves the same bytes.

    Raises ScoresRefused and so on for what no repetition would mend, ObjectNotFound where something is gone.
    """
    if accepted.candidates is not None:
        evaluate_stored_lists(store, accepted, accepted.candidates, should_cancel)
        return
    if accepted.templates is not None:
        evaluate_stored_templates(store, accepted, accepted.templates, should_cancel)
        return
    if accepted.scores is None:
        raise ValueError("neither scores, candidate lists nor templates were accepted")
    at = EvaluationKeys(accepted.tenant, accepted.id)
    dataset = DatasetKeys(accepted.tenant, accepted.of)
    summary = summary_of(store, accepted.tenant, accepted.of)
    _, rows = read_manifest(store.read(dataset.manifest))
    album = album_of(rows, lambda sample, file: f"/v1/datasets/{accepted.dataset}/samples/{sample}")
    file = ComparisonsFile(open=lambda: store.read(dataset.comparisons), sha256=summary.comparisons_sha256)
    listed = read_comparisons(file)

    def scores_of(handed: Handed, what: str) -> ComparedScores:
        if handed.evaluation is not None:
            return unpack(store.get(EvaluationKeys(accepted.tenant, handed.evaluation).compared))
        return _compared(store, listed, handed, what, accepted.rule, should_cancel)

    scores = scores_of(accepted.scores, "the scores")
    baseline = None if accepted.baseline is None else scores_of(accepted.baseline, "the baseline")
    of = EvaluatedSet(
        dataset=accepted.of,
        release=accepted.release,
        name=summary.name,
        comparisons=listed.count,
        comparisons_sha256=file.sha256 or file.check(),
    )
    found = evaluate(of, accepted.rule, listed, scores, baseline, album)
    store.put(at.compared, pack(scores))
    store.put(at.junit, junit_xml(found, timestamp=accepted.created_at), "application/xml")
    store.put(at.markdown, markdown(found).encode(), "text/markdown; charset=utf-8")
    store.put(at.det, det_chart(found).document().encode(), "image/svg+xml")
    write_json(store, at.result, found)


def _compared(
    store: ObjectStore, listed: Listed, handed: Handed, what: str, rule: Rule, should_cancel: Callable[[], bool]
) -> ComparedScores:
    metric = cast(Literal["cosine", "euclidean"] | None, handed.metric)
    blocks = read_blocks(store.read(str(handed.data)), listed, metric, stranger=True)
    return compare(
        listed,
        blocks,
        what=what,
        fmr_kept=rule.at_fmr,
        distances=rule.distances and metric is None,
        should_cancel=should_cancel,
    )
