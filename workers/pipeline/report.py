"""The report of a finished set: its comparisons, its contact sheet, and what the judges measured."""

import csv
import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from app.dataset.calibration import Calibration
from app.dataset.comparisons import list_comparisons
from app.dataset.keys import DatasetKeys
from app.dataset.matcher import MatcherCard
from app.dataset.model import ModelCard
from app.dataset.names import sample_name
from app.dataset.plan import Place, Plan
from app.dataset.shard import ShardReport
from app.errors import Cancelled
from app.jobs.records import Accepted, write_json
from app.storage import ObjectStore
from workers.generator.trained_on import TrainedOn
from workers.images import Pixels, contact_sheet, decode, encode_sheet, encode_small
from workers.pipeline.contract import measure_contract
from workers.pipeline.evidence import Survey, gather
from workers.pipeline.judgements import read_judgements
from workers.pipeline.store import put_chunks
from workers.report.build import build_report
from workers.report.page import Sheet, render_page

SHEET_SUBJECTS = 20
SHEET_SAMPLES = 10
SHEET_CELL = 128
"""Pixels a side of one image on the contact sheet."""

PAGE_ROWS = 5
"""Rows of the sheet that are shown on the page; twice as many where two of them fit beside each other."""
PAGE_SHEET_BYTES = 180_000
"""One of at most two images."""

CSV_ROWS = 4_096
"""Comparisons written at once."""


def report(
    store: ObjectStore,
    at: DatasetKeys,
    accepted: Accepted,
    plan: Plan,
    card: ModelCard,
    *,
    matchers: Mapping[str, MatcherCard],
    trained_on: Mapping[str, TrainedOn] = MappingProxyType({}),
    should_cancel: Callable[[], bool] = lambda: False,
) -> None:
    """Write everything that tells about a set, report.json last; run twice, it leaves the same bytes.

    `plan` is the one that was carried out, `card` the model's, `matchers` the cards of those on offer,
    `trained_on` by matcher the templates of what the model was trained on. Raises Cancelled when told to stop.
    """
    survey = Survey(store, at, plan)
    comparisons = _write_comparisons(store, at, plan, survey.missing)
    sheet = _sheet(store, at, plan)
    store.put(at.contact_sheet, encode_sheet(sheet), "image/png")
    judgements = read_judgements(store, at, plan) if plan.judges else None
    calibration = contract = None
    if store.exists(at.calibration):
        calibration = Calibration.model_validate_json(store.get(at.calibration))
        contract = measure_contract(judgements, plan, calibration) if judgements else None
    found = build_report(
        plan,
        card,
        gather(plan, card, judgements, survey.rows, matchers, trained_on),
        survey.outcome(),
        name=accepted.name,
        created_at=accepted.created_at,
        request=accepted.request,
        comparisons=comparisons,
        contract=contract,
        calibration=calibration,
        should_cancel=should_cancel,
    )
    if should_cancel():
        raise Cancelled("the report was called off")
    store.put(at.report_page, render_page(found, _page_sheets(sheet)), "text/html; charset=utf-8")
    write_json(store, at.report, found)


def _page_sheets(sheet: Pixels) -> list[Sheet]:
    """The first rows of the contact sheet, the next ones beside them if they fit."""
    height = PAGE_ROWS * SHEET_CELL
    blocks = [sheet[:height]]
    if sheet.shape[1] <= SHEET_SAMPLES // 2 * SHEET_CELL and len(sheet) > height:
        blocks.append(sheet[height : 2 * height])
    return [Sheet(encode_small(block, PAGE_SHEET_BYTES), block.shape[1]) for block in blocks]


def _write_comparisons(store: ObjectStore, at: DatasetKeys, plan: Plan, missing: Collection[str]) -> dict[str, Any]:
    """Write comparisons.csv; comparisons with a missing sample cannot be made and are counted as left out."""
    counts = {"mated": 0, "non_mated": 0, "left_out": 0}
    digest = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("reference", "probe", "mated"))
        for number, comparison in enumerate(
            list_comparisons(plan.comparisons, plan.subjects, plan.samples_per_subject, plan.distractors, plan.seed)
        ):
            reference, probe = sample_name(*comparison.reference), sample_name(*comparison.probe)
            if reference in missing or probe in missing:
                counts["left_out"] += 1
                continue
            counts["mated" if comparison.mated else "non_mated"] += 1
            writer.writerow((reference, probe, int(comparison.mated)))
            if number % CSV_ROWS == 0:
                yield _taken(text, digest)
        yield _taken(text, digest)

    put_chunks(store, at.comparisons, chunks(), "text/csv; charset=utf-8")
    return {"selection": plan.comparisons, **counts, "sha256": digest.hexdigest()}


def _taken(text: io.StringIO, digest: Any) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    digest.update(data)
    return data


def _sheet(store: ObjectStore, at: DatasetKeys, plan: Plan) -> Pixels:
    """The first subjects' first samples, a row a subject."""
    wanted = [
        [
            Place(subject, sample)
            for sample in range(min(plan.samples_per_subject if subject < plan.subjects else 1, SHEET_SAMPLES))
        ]
        for subject in range(min(plan.identities, SHEET_SUBJECTS))
    ]
    reports: dict[int, ShardReport] = {}

    def picture(place: Place) -> Pixels | None:
        shard = plan.index(place) // plan.shard_size
        if shard not in reports:
            reports[shard] = ShardReport.model_validate_json(store.get(at.shard_report(shard)))
        name = sample_name(*place)
        for stored in reports[shard].samples:
            if stored.row.id == name:
                data = b"".join(store.read(at.shard_samples(shard), stored.offset, stored.row.bytes))
                return decode(data, name)
        return None

    return contact_sheet([[picture(place) for place in row] for row in wanted], SHEET_CELL)
