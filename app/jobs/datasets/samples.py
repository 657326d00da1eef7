"""Listing a set's samples, page by page, with what is true of each; the cost of a page does not grow with the set."""

import json
import operator
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from app.dataset.keys import DatasetKeys
from app.dataset.manifest import read_manifest
from app.dataset.plan import Plan
from app.dataset.shard import Missing, SampleRow, ShardReport
from app.dataset.thumbnails import COLUMNS, sheet_of
from app.errors import ObjectNotFound, RequestRefused
from app.jobs.records import read_accepted, read_plan
from app.storage import ObjectStore

MOST_SHARDS = 64
"""Shards that one page looks through at the most; a filtered page may therefore be short and have a next one."""

MOST_CONDITIONS = 8

MEASURED = 5_000
"""Samples whose quality is shown, from the first on: the judged ones come first in a set."""

REMEMBERED_REPORTS = 64
REMEMBERED_MANIFESTS = 4

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"([A-Za-z_]\w{0,39}(?:\.[A-Za-z_]\w{0,59})?)(<=|>=|!=|=|<|>)(.{0,60})")


class ListedSample(SampleRow):
    """One sample, as the manifest lists it, and where it stands in the set."""

    model_config = ConfigDict(frozen=True)

    index: int = Field(description="From 0, subject by subject; send it as `after` to go on behind it.")
    redrawn: bool = Field(description="Whether an earlier draw of it, or of its identity, failed a check.")
    sheet: int | None = Field(
        description="Number of the sheet of thumbnails that shows it (`thumbnails/NUMBER` below the set's path); null "
        "of sets of an older version."
    )
    tile: int = Field(description="Which of that sheet's tiles it is, from 0, row by row.")


class Tiles(BaseModel):
    """How thumbnails lie on their sheets."""

    model_config = ConfigDict(frozen=True)

    columns: int = Field(description="Tiles of a row.")
    width: int = Field(description="Of a tile, pixels.")
    height: int
    sheet: int = Field(description="Tiles of a full sheet; the last one may have fewer.")


class SamplePage(BaseModel):
    """Some of a set's samples, in the set's order."""

    model_config = ConfigDict(frozen=True)

    samples: list[ListedSample]
    missing: list[Missing] = Field(description="Samples in the range looked at that could not be made.")
    next: int | None = Field(description="Send it as `after` for the next page; null at the end.")
    subjects: int
    samples_per_subject: int
    distractors: int
    total: int = Field(description="Samples of the whole set, as planned.")
    tiles: Tiles


class Condition(NamedTuple):
    """One thing that must be true of a sample."""

    path: tuple[str, ...]
    holds: Callable[[Any, Any], bool]
    value: Any

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read `attributes.sex=female`, `quality.sharpness<10`, `redrawn=true`; raises RequestRefused."""
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise RequestRefused(
                [("where", f"{text[:80]!r} is no condition; write FIELD=VALUE, as in attributes.sex=female")]
            )
        path, sign, written = match.groups()
        try:
            value = json.loads(written)
        except ValueError:
            value = written
        if sign[0] in "<>" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise RequestRefused([("where", f"{text[:80]!r}: {sign} compares with a number")])
        return cls(tuple(path.split(".")), _OPERATORS[sign], value)

    def __call__(self, row: dict[str, Any]) -> bool:
        found: Any = row
        for name in self.path:
            found = found.get(name) if isinstance(found, dict) else None
        if found is None or (isinstance(found, bool) != isinstance(self.value, bool)):
            return False
        if isinstance(found, str) or isinstance(self.value, str):
            return self.holds in (operator.eq, operator.ne) and self.holds(str(found), str(self.value))
        return self.holds(found, self.value)


class _Shard(NamedTuple):
    """A shard that is made."""

    report: ShardReport
    has_sheet: bool
    """Whether there are thumbnails of it."""


class SampleList:
    """Lists samples; each call is one tenant's."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._reports: OrderedDict[str, _Shard] = OrderedDict()
        self._qualities: OrderedDict[str, dict[str, dict[str, float]]] = OrderedDict()
        self._lock = Lock()

    def page(
        self, tenant: str, dataset: str, *, after: int | None, limit: int, where: list[str], released: bool = False
    ) -> SamplePage:
        """Samples behind the one numbered `after` that meet every condition; of shards that are stored.

        `released` is for a dataset that a release keeps: it may be gone for the API of datasets. Raises NotFound, and
        RequestRefused for what is no condition.
        """
        conditions = [Condition.parse(text) for text in where]
        if not released:
            read_accepted(self._store, tenant, dataset)
        plan = read_plan(self._store, tenant, dataset)
        at = DatasetKeys(tenant, dataset)
        samples: list[ListedSample] = []
        missing: list[Missing] = []
        start = 0 if after is None else after + 1
        cursor: int | None = None
        qualities = self._quality(at) if start < MEASURED else {}
        for looked, shard in enumerate(range(start // plan.shard_size, plan.shards)):
            if looked == MOST_SHARDS or len(samples) == limit:
                cursor = plan.shard(shard).start - 1
                break
            found = self._report(at, shard)
            if found is None:
                continue
            report = found.report
            lost = [item for item in report.missing if _index(plan, item.id) >= start]
            for index, row in _rows(plan, report, start):
                if len(samples) == limit:
                    cursor = samples[-1].index
                    break
                listed = {
                    **_listed(index, row, qualities),
                    "sheet": shard if found.has_sheet else None,
                    "tile": index - plan.shard(shard).start,
                }
                if all(condition(listed) for condition in conditions):
                    samples.append(ListedSample.model_validate(listed))
            missing += [item for item in lost if cursor is None or _index(plan, item.id) <= cursor]
            if cursor is not None:
                break
        return SamplePage(
            samples=samples,
            missing=missing,
            next=cursor,
            subjects=plan.subjects,
            samples_per_subject=plan.samples_per_subject,
            distractors=plan.distractors,
            total=plan.samples,
            tiles=_tiles(plan),
        )

    def _report(self, at: DatasetKeys, shard: int) -> "_Shard | None":
        """What there is of a shard, None while it is not made; once made it never changes."""
        key = at.shard_report(shard)
        with self._lock:
            if known := self._reports.get(key):
                self._reports.move_to_end(key)
                return known
        try:
            report = ShardReport.model_validate_json(self._store.get(key))
        except ObjectNotFound:
            return None
        # The sheet is written before the report, or never.
        shown = _Shard(report, self._store.exists(at.thumbnails(shard)))
        with self._lock:
            self._reports[key] = shown
            if len(self._reports) > REMEMBERED_REPORTS:
                self._reports.popitem(last=False)
        return shown

    def _quality(self, at: DatasetKeys) -> dict[str, dict[str, float]]:
        """Quality by sample, of the first samples of a finished set; empty before it is finished."""
        with self._lock:
            if (known := self._qualities.get(at.manifest)) is not None:
                return known
        try:
            _, rows = read_manifest(self._store.read(at.manifest))
        except ObjectNotFound:
            return {}
        found = {row.id: row.quality for _, row in zip(range(MEASURED), rows, strict=False) if row.quality}
        with self._lock:
            self._qualities[at.manifest] = found
            if len(self._qualities) > REMEMBERED_MANIFESTS:
                self._qualities.popitem(last=False)
        return found


def _index(plan: Plan, name: str) -> int:
    subject, _, sample = name[1:].partition("_")
    return plan.index(plan.place(0)._replace(subject=int(subject), sample=int(sample)))


def _tiles(plan: Plan) -> Tiles:
    sheet = sheet_of(plan, 0)
    return Tiles(columns=COLUMNS, width=sheet.width, height=sheet.height, sheet=plan.shard_size)


def _rows(plan: Plan, report: ShardReport, start: int) -> Iterator[tuple[int, SampleRow]]:
    for stored in report.samples:
        index = _index(plan, stored.row.id)
        if index >= start:
            yield index, stored.row


def _listed(index: int, row: SampleRow, qualities: dict[str, dict[str, float]]) -> dict[str, Any]:
    found = row.model_dump()
    found["quality"] = row.quality or qualities.get(row.id)
    return {**found, "index": index, "redrawn": row.attempt > 0 or row.identity_attempt > 0}
