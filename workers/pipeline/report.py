"""The report of a finished set: its comparisons, its contact sheet, and what the judges measured."""

import csv
import hashlib
import io
from collections.abc import Iterator
from typing import Any

from app.dataset.calibration import Calibration
from app.dataset.comparisons import list_comparisons
from app.dataset.keys import DatasetKeys
from app.dataset.names import sample_name
from app.dataset.plan import Place, Plan
from app.dataset.shard import ShardReport
from app.jobs.records import write_json
from app.storage import ObjectStore
from workers.images import Pixels, contact_sheet, decode, encode_sheet
from workers.pipeline.contract import measure_contract
from workers.pipeline.judgements import read_judgements
from workers.pipeline.store import put_chunks

SHEET_SUBJECTS = 20
SHEET_SAMPLES = 10
SHEET_CELL = 128
"""Pixels a side of one image on the contact sheet."""

CSV_ROWS = 4_096
"""Comparisons written at once."""


def report(store: ObjectStore, at: DatasetKeys, plan: Plan) -> None:
    """Write everything that tells about a set, the report last; run twice, it leaves the same bytes."""
    missing = {
        item.id
        for number in range(plan.shards)
        for item in ShardReport.model_validate_json(store.get(at.shard_report(number))).missing
    }
    comparisons = _write_comparisons(store, at, plan, missing)
    store.put(at.contact_sheet, encode_sheet(_sheet(store, at, plan)), "image/png")
    contract = None
    if store.exists(at.calibration):
        calibration = Calibration.model_validate_json(store.get(at.calibration))
        contract = measure_contract(read_judgements(store, at, plan), plan, calibration).model_dump(mode="json")
    write_json(store, at.report, {"schema_version": 1, "comparisons": comparisons, "contract": contract})


def _write_comparisons(store: ObjectStore, at: DatasetKeys, plan: Plan, missing: set[str]) -> dict[str, Any]:
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
