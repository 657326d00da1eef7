"""Taking stock: all shards' reports read once, for everything that tells about a set."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

from app.dataset.keys import DatasetKeys
from app.dataset.manifest import Tally, sample_lines
from app.dataset.plan import Plan
from app.dataset.shard import IdentityChoice, SampleRow, ShardReport, Shown, StoredSample
from app.errors import Cancelled
from app.storage import ObjectStore
from workers.pipeline.judgements import Judgements
from workers.report.build import Outcome, kind_of


class Inventory:
    """What the reports come to, taken up one by one: counts, reasons, and what is needed of single samples."""

    def __init__(self, plan: Plan, choice: IdentityChoice | None, on_sheet: frozenset[str]) -> None:
        """`on_sheet` are the samples that the contact sheet shows, if they were made."""
        self.tally = Tally()
        self.choice = choice
        self.missing: set[str] = set()
        self.judged: dict[str, SampleRow] = {}
        """Rows of the shards in which samples are judged, by name."""
        self.sheet: dict[str, tuple[int, StoredSample]] = {}
        """By name: the shard that holds a sample of the contact sheet, and where in it."""
        self.shown: Shown | None = None
        """What the first sample's row says of what its image shows."""
        self._rejected: Counter[str] = Counter()
        self._missing: Counter[str] = Counter()
        self._judged_shards = frozenset(plan.judged_shards)
        self._on_sheet = on_sheet

    def add(self, report: ShardReport, sha256: str) -> None:
        """Take up the next shard's report, and its digest; shards must come in order."""
        self.tally.add(report, sha256)
        self._rejected.update(kind_of(item.reason) for item in report.rejected)
        self._missing.update(kind_of(item.reason) for item in report.missing)
        self.missing.update(item.id for item in report.missing)
        if report.shard in self._judged_shards:
            self.judged |= {stored.row.id: stored.row for stored in report.samples}
        if self.shown is None and report.samples:
            self.shown = report.samples[0].row.shown
        for stored in report.samples:
            if stored.row.id in self._on_sheet:
                self.sheet[stored.row.id] = (report.shard, stored)

    def outcome(self) -> Outcome:
        """What came out of generation."""
        counts = self.tally.counts().as_dict()
        return Outcome(counts=counts, rejected=self._rejected, missing=self._missing, choice=self.choice)


def take_stock(
    store: ObjectStore,
    at: DatasetKeys,
    plan: Plan,
    judgements: Judgements | None,
    lines: BinaryIO,
    *,
    on_sheet: frozenset[str],
    should_cancel: Callable[[], bool] = lambda: False,
) -> Inventory:
    """Read every shard's report, and write the manifest's lines about samples to `lines`; raises Cancelled."""
    choice = IdentityChoice.model_validate_json(store.get(at.identities)) if plan.unique else None
    inventory = Inventory(plan, choice, on_sheet)
    row_of = {name: row for row, name in enumerate(judgements.ids)} if judgements else {}

    def rows() -> Iterator[SampleRow]:
        for shard in range(plan.shards):
            if should_cancel():
                raise Cancelled("the report was called off")
            raw = store.get(at.shard_report(shard))
            report = ShardReport.model_validate_json(raw)
            inventory.add(report, hashlib.sha256(raw).hexdigest())
            for stored in report.samples:
                judged = row_of.get(stored.row.id)
                quality = judgements.quality(judged) if judgements and judged is not None else None
                yield stored.row if quality is None else stored.row.model_copy(update={"quality": quality})

    for line in sample_lines(rows()):
        lines.write(line)
    return inventory
