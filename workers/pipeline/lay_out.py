"""Laying out: a finished set out of the store, in one of the layouts, back into the store. Made once, kept."""

import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from app.dataset.comparisons import ComparisonsFile, ListedPair
from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.dataset.manifest import manifest_lines
from app.dataset.plan import Plan
from app.dataset.products import MANIFEST, there
from app.dataset.shard import SampleRow, ShardReport
from app.errors import Cancelled, Unfinished
from app.jobs.records import Accepted, read_json
from app.storage import ObjectStore
from workers.images import decode
from workers.layouts.archive import Entry, Spool
from workers.layouts.contents import About, Located, place_of
from workers.layouts.landmarks import Faces, pack, unpack
from workers.layouts.registry import archive_of
from workers.matchers.detector import Detector
from workers.pipeline.assemble import stored_rows, summarize_stored
from workers.pipeline.store import put_chunks

FINDING_S = 600.0
"""For how long one task finds faces; what is left is for the next, so that none is taken for one that hangs."""


def lay_out(
    store: ObjectStore,
    at: DatasetKeys,
    plan: Plan,
    layout: Layout,
    *,
    detector: Detector,
    should_cancel: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Write the archive of a layout; run twice, it leaves the same bytes.

    The set must have its report, or be finished. `should_cancel` is asked before each shard; raises Cancelled, and
    Unfinished where finding faces takes longer than one task may.
    """
    contents = StoredContents(store, at, plan, should_cancel)
    if layout.faces:
        contents.find_faces(detector, until=clock() + FINDING_S, clock=clock)
    put_chunks(store, at.layout(layout), archive_of(layout, contents), layout.media_type)


class StoredContents:
    """Contents of a dataset in the store, shard by shard."""

    def __init__(
        self,
        store: ObjectStore,
        at: DatasetKeys,
        plan: Plan,
        should_cancel: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._at = at
        self._plan = plan
        self._should_cancel = should_cancel
        self._last: ShardReport | None = None

    @cached_property
    def about(self) -> About:
        """See Contents."""
        plan = self._plan
        missing = (item for report in self._reports() for item in report.missing)
        return About(
            dataset=plan.dataset,
            name=self._name,
            model=f"{plan.model.name} {plan.model.version}",
            model_digest=plan.model.digest,
            subjects=plan.subjects,
            samples_per_subject=plan.samples_per_subject,
            distractors=plan.distractors,
            selection=plan.comparisons,
            missing=frozenset(place_of(item.id) for item in missing),
            left_out=int(self._listed["left_out"]),
        )

    def find_faces(self, detector: Detector, *, until: float, clock: Callable[[], float]) -> None:
        """Find the faces of every shard that has not been looked at, and keep them; raises Unfinished after `until`."""
        for shard in range(self._plan.shards):
            if self._store.exists(self._at.landmarks(shard)):
                continue
            if clock() >= until:
                raise Unfinished(f"the faces of {shard} of {self._plan.shards} shards are found")
            faces = [detector.detect(decode(data, row.file)) for row, data in self._shard(shard)]
            self._store.put(self._at.landmarks(shard), pack(faces))

    def rows(self) -> Iterator[SampleRow]:
        """See Contents."""
        return stored_rows(self._store, self._at, self._plan)

    def files(self) -> Iterator[tuple[SampleRow, bytes]]:
        """See Contents."""
        for shard in range(self._plan.shards):
            yield from self._shard(shard)

    def beside(self, row: SampleRow) -> bytes:
        """See Contents. Read from the store each time: only the ZIP file asks for it."""
        shard = self._plan.index(place_of(row.id)) // self._plan.shard_size
        stored = next(stored for stored in self._report(shard).samples if stored.row.id == row.id)
        if stored.row.c2pa is None or stored.c2pa_offset is None:
            raise ValueError(f"no C2PA manifest lies beside {row.id}")
        return b"".join(self._store.read(self._at.shard_samples(shard), stored.c2pa_offset, stored.row.c2pa.bytes))

    def located(self) -> Iterator[Located]:
        """See Contents; their faces must have been found."""
        for shard in range(self._plan.shards):
            samples = list(self._shard(shard))
            faces = self._faces(shard, len(samples))
            yield from (Located(row, data, face) for (row, data), face in zip(samples, faces, strict=True))

    def comparisons(self) -> Iterator[ListedPair]:
        """See Contents."""
        file = ComparisonsFile(open=lambda: self._store.read(self._at.comparisons), sha256=self._listed["sha256"])
        return file.pairs()

    @cached_property
    def _listed(self) -> dict[str, Any]:
        """What the report says of comparisons.csv."""
        found: dict[str, Any] = read_json(self._store, self._at.report)["comparisons"]
        return found

    def products(self) -> Iterator[Entry]:
        """See Contents. The manifest, which comes last of all, is made here where it is not there yet."""
        for product in there(lambda file: self._store.exists(f"{self._at.prefix}{file}")):
            key = self._at.product(product)
            if product is MANIFEST and not self._store.exists(key):
                yield self._manifest(product.file)
            else:
                yield Entry(product.file, self._store.stat(key).size, self._store.read(key))

    @property
    def _name(self) -> str:
        # A release may outlive its dataset's request; a set that is not finished yet has no summary.
        if self._store.exists(self._at.summary):
            return str(read_json(self._store, self._at.summary)["name"])
        return self._accepted().name

    def _accepted(self) -> Accepted:
        return Accepted.model_validate_json(self._store.get(self._at.request))

    def _manifest(self, name: str) -> Entry:
        summary = summarize_stored(self._store, self._at, self._accepted(), self._plan)
        spool = Spool()
        for chunk in manifest_lines(summary, self.rows()):
            spool.write(chunk)
        return spool.entry(name)

    def _reports(self) -> Iterator[ShardReport]:
        for shard in range(self._plan.shards):
            yield self._report(shard)

    def _report(self, shard: int) -> ShardReport:
        if self._last is None or self._last.shard != shard:
            self._last = ShardReport.model_validate_json(self._store.get(self._at.shard_report(shard)))
        return self._last

    def _shard(self, shard: int) -> Iterator[tuple[SampleRow, bytes]]:
        """Yield a shard's samples; its tar is read at once, for a shard is small."""
        if self._should_cancel():
            raise Cancelled("the layout was called off")
        tar = self._store.get(self._at.shard_samples(shard))
        for stored in self._report(shard).samples:
            yield stored.row, tar[stored.offset : stored.offset + stored.row.bytes]

    def _faces(self, shard: int, count: int) -> Faces:
        return unpack(self._store.get(self._at.landmarks(shard)), count)
