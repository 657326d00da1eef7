"""The report of a finished set: its comparisons, its contact sheet, and what the judges measured."""

import csv
import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping

from app.dataset.calibration import Calibration
from app.dataset.comparisons import list_comparisons
from app.dataset.keys import DatasetKeys
from app.dataset.matcher import MatcherCard
from app.dataset.model import ModelCard
from app.dataset.names import sample_name
from app.dataset.plan import FinalPlan, Plan
from app.dataset.products import COMPARISONS
from app.dataset.reference import Reference
from app.dataset.report import Listed, Report
from app.jobs.records import Accepted
from app.storage import ObjectStore
from workers.generator.trained_on import TrainedOn
from workers.images import Pixels, contact_sheet, decode, encode_small
from workers.pipeline.contract import measure_contract
from workers.pipeline.evidence import gather
from workers.pipeline.inventory import Inventory
from workers.pipeline.judgements import Judgements
from workers.pipeline.store import put_chunks
from workers.report.build import build_report
from workers.report.page import Sheet

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


def make_report(
    plan: FinalPlan,
    card: ModelCard,
    accepted: Accepted,
    inventory: Inventory,
    judgements: Judgements | None,
    *,
    comparisons: Listed,
    calibration: Calibration | None,
    matchers: Mapping[str, MatcherCard],
    trained_on: Mapping[str, TrainedOn],
    reference: Reference | None,
    should_cancel: Callable[[], bool],
) -> Report:
    """Measure a set; raises Cancelled when told to stop.

    `card` is the model's, `matchers` the cards of those on offer, `trained_on` by matcher the templates of what the
    model was trained on, `reference` the operator's thresholds on real faces.
    """
    contract = measure_contract(judgements, plan, calibration) if judgements and calibration else None
    return build_report(
        plan,
        card,
        gather(plan, card, judgements, inventory.judged, matchers, trained_on, reference),
        inventory.outcome(),
        name=accepted.name,
        created_at=accepted.created_at,
        request=accepted.request,
        comparisons=comparisons.model_dump(),
        contract=contract,
        calibration=calibration,
        should_cancel=should_cancel,
    )


def page_sheets(sheet: Pixels, plan: Plan) -> list[Sheet]:
    """The first rows of the contact sheet, the next ones beside them if they fit, with their subjects' labels."""
    names = [row[0].partition("_")[0] for row in sheet_samples(plan)]
    columns = sheet.shape[1] // SHEET_CELL
    height = PAGE_ROWS * SHEET_CELL
    starts = [0, PAGE_ROWS] if columns <= SHEET_SAMPLES // 2 and len(sheet) > height else [0]
    found = []
    for start in starts:
        block = sheet[start * SHEET_CELL : start * SHEET_CELL + height]
        jpeg = encode_small(block, PAGE_SHEET_BYTES, plan.model.source_type)
        found.append(Sheet(jpeg, block.shape[1], tuple(names[start : start + PAGE_ROWS]), columns))
    return found


def write_comparisons(store: ObjectStore, at: DatasetKeys, plan: Plan, missing: Collection[str]) -> tuple[Listed, int]:
    """Write comparisons.csv; returns what it lists and its bytes.

    Comparisons with a missing sample cannot be made and are counted as left out.
    """
    counts = {"mated": 0, "non_mated": 0, "left_out": 0}
    size = 0
    digest = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        nonlocal size
        for chunk in lines():
            digest.update(chunk)
            size += len(chunk)
            yield chunk

    def lines() -> Iterator[bytes]:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("reference", "probe", "mated"))
        for number, comparison in enumerate(
            list_comparisons(
                plan.comparisons,
                plan.subjects,
                plan.samples_per_subject,
                plan.distractors,
                plan.seed,
                plan.sample_counts,
            )
        ):
            reference, probe = sample_name(*comparison.reference), sample_name(*comparison.probe)
            if reference in missing or probe in missing:
                counts["left_out"] += 1
                continue
            counts["mated" if comparison.mated else "non_mated"] += 1
            writer.writerow((reference, probe, int(comparison.mated)))
            if number % CSV_ROWS == 0:
                yield _taken(text)
        yield _taken(text)

    put_chunks(store, at.comparisons, chunks(), COMPARISONS.media_type)
    return Listed(selection=plan.comparisons, sha256=digest.hexdigest(), **counts), size


def _taken(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data


def sheet_samples(plan: Plan) -> list[list[str]]:
    """Names of what the contact sheet shows: the first subjects' first samples, a row a subject."""
    return [
        [sample_name(subject, sample) for sample in range(min(plan.samples_of(subject), SHEET_SAMPLES))]
        for subject in range(min(plan.identities, SHEET_SUBJECTS))
    ]


def make_sheet(store: ObjectStore, at: DatasetKeys, plan: Plan, inventory: Inventory) -> Pixels:
    """The contact sheet, uint8 [H, W, 3]."""

    def picture(name: str) -> Pixels | None:
        if name not in inventory.sheet:
            return None
        shard, stored = inventory.sheet[name]
        data = b"".join(store.read(at.shard_samples(shard), stored.offset, stored.row.bytes))
        return decode(data, name)

    return contact_sheet([[picture(name) for name in row] for row in sheet_samples(plan)], SHEET_CELL)
