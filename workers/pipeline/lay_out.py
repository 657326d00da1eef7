"""Laying out: a finished set out of the store, in one of the layouts, back into the store. Made once, kept."""

import time
from collections.abc import Callable, Iterator
from functools import cached_property

from app.dataset.comparisons import ComparisonsFile, ListedPair
from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.dataset.manifest import Summary, read_manifest
from app.dataset.plan import Plan
from app.dataset.products import MANIFEST, there
from app.dataset.shard import SampleRow, ShardReport
from app.errors import Cancelled, Unfinished
from app.storage import ObjectStore
from workers.images import decode
from workers.layouts.archive import Entry
from workers.layouts.contents import About, Located, place_of
from workers.layouts.landmarks import Faces, pack, unpack
from workers.layouts.registry import archive_of
from workers.matchers.detector import Detector
from workers.pipeline.close import read_closed
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

    The set must be closed. `should_cancel` is asked before each shard; raises Cancelled, and
    Unfinished where finding faces takes longer than one task may.
    """
    contents = StoredContents(store, at, plan, should_cancel)
    if layout.faces(plan.samples):
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
    def _manifest(self) -> tuple[str, Summary]:
        """Key and summary of the manifest."""
        return read_closed(self._store, self._at)

    @cached_property
    def about(self) -> About:
        """See Contents."""
        plan, (_, summary) = self._plan, self._manifest
        return About(
            dataset=plan.dataset,
            name=summary.name,
            model=f"{plan.model.name} {plan.model.version}",
            model_digest=plan.model.digest,
            source_type=plan.model.source_type,
            subjects=plan.subjects,
            samples_per_subject=plan.samples_per_subject,
            distractors=plan.distractors,
            selection=plan.comparisons,
            missing=frozenset(place_of(item.id) for item in summary.shortfall),
            left_out=summary.comparisons.left_out if summary.comparisons else 0,
            naming=plan.naming,
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
        return read_manifest(self._store.read(self._manifest[0]))[1]

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
        sha256 = self._manifest[1].comparisons_sha256
        return ComparisonsFile(open=lambda: self._store.read(self._at.comparisons), sha256=sha256).pairs()

    def products(self) -> Iterator[Entry]:
        """See Contents. The manifest lies aside until the set has succeeded."""
        for product in there(lambda file: self._store.exists(f"{self._at.prefix}{file}")):
            key = self._manifest[0] if product is MANIFEST else self._at.product(product)
            yield Entry(product.file, self._store.stat(key).size, self._store.read(key))

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
