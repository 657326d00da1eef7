"""What can be downloaded of a succeeded dataset, each as segments of bytes with an ETag."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.dataset.manifest import read_summary
from app.dataset.names import parse_sample_name
from app.dataset.plan import Plan
from app.dataset.products import TEMPLATES, THUMBNAILS, Product
from app.dataset.shard import ShardReport, StoredSample
from app.errors import NotFound, ObjectNotFound
from app.jobs.datasets.archive import Segment, lay_out_archive, read_segments
from app.jobs.records import read_accepted, read_plan
from app.jobs.state import require_succeeded
from app.storage import ObjectStore

REMEMBERED_REPORTS = 64


@dataclass(frozen=True, kw_only=True)
class Download:
    """Something to download."""

    media_type: str
    filename: str
    etag: str
    """Without quotes."""
    segments: tuple[Segment, ...]
    size: int


class ProductService:
    """Finds the products of succeeded datasets; each call is one tenant's."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._reports: OrderedDict[str, ShardReport] = OrderedDict()
        self._lock = Lock()

    def product(self, tenant: str, dataset: str, product: Product) -> Download:
        """One product of the table; raises NotFound for one that sets of old do not have."""
        at = self._succeeded(tenant, dataset, product.label)
        try:
            return self._object(at.product(product), product.media_type, f"{dataset}-{product.file}")
        except ObjectNotFound as exc:
            if product.only is not None:
                raise NotFound(_why_not(dataset, product)) from exc
            if not product.late:
                raise
            what = product.label.removeprefix("a ")
            raise NotFound(f"dataset {dataset!r} has no {what}: it was made before there were any") from exc

    def archive(self, tenant: str, dataset: str, layout: Layout = Layout.PLAIN) -> Download:
        """Everything in one archive; raises ObjectNotFound for a layout that is not made."""
        at = self._succeeded(tenant, dataset, "an archive")
        if layout.stored:
            return self._object(at.layout(layout), layout.media_type, f"{dataset}-{layout}{layout.suffix}")
        digests = read_summary(self._store.get(at.summary)).digests
        archive = lay_out_archive(self._store, at, self.folder(tenant, dataset))
        return Download(
            media_type="application/x-tar",
            filename=f"{dataset}.tar",
            etag=f"{digests.files[:32]}-{archive.size}-plain",
            segments=archive.segments,
            size=archive.size,
        )

    def folder(self, tenant: str, dataset: str) -> str:
        """Top folder of its plain archive; "" for none."""
        return read_plan(self._store, tenant, dataset).folder

    def sample(self, tenant: str, dataset: str, name: str) -> Download:
        """One sample by its label (S0000012_0003); there as soon as its shard is done."""
        plan, key, stored = self._find(tenant, dataset, name)
        if plan.templates is not None:
            raise NotFound(
                f"dataset {dataset!r} keeps templates of {plan.templates.name} and no images; its templates are in "
                f"{TEMPLATES.file}"
            )
        return Download(
            media_type=plan.image.media_type,
            filename=stored.row.file.rsplit("/", 1)[-1],
            etag=stored.row.file_sha256,
            segments=(Segment(stored.row.bytes, key=key, offset=stored.offset),),
            size=stored.row.bytes,
        )

    def thumbnails(self, tenant: str, dataset: str, sheet: int) -> Download:
        """One sheet of thumbnails; raises NotFound where there is none (yet)."""
        self._demand(tenant, dataset)
        key = DatasetKeys(tenant, dataset).thumbnails(sheet)
        try:
            return self._object(key, THUMBNAILS.media_type, f"{dataset}-thumbnails-{sheet}.jpg")
        except ObjectNotFound as exc:
            raise NotFound(f"dataset {dataset!r} has no sheet {sheet} of thumbnails; its samples are there") from exc

    def sidecar(self, tenant: str, dataset: str, name: str) -> Download:
        """The C2PA manifest that lies beside a sample; raises NotFound where there is none."""
        _, key, stored = self._find(tenant, dataset, name)
        beside = stored.row.c2pa
        if beside is None or stored.c2pa_offset is None:
            raise NotFound(f"no C2PA manifest lies beside sample {name!r}; marking.c2pa 'detached' makes them")
        return Download(
            media_type="application/c2pa",
            filename=beside.file.rsplit("/", 1)[-1],
            etag=beside.sha256,
            segments=(Segment(beside.bytes, key=key, offset=stored.c2pa_offset),),
            size=beside.bytes,
        )

    def read(self, product: Download, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes [start, stop) of a product."""
        return read_segments(self._store, product.segments, start, stop)

    def _find(self, tenant: str, dataset: str, name: str) -> tuple[Plan, str, StoredSample]:
        """The plan, the key of the shard's tar, and where in it a sample is; raises NotFound."""
        self._demand(tenant, dataset)
        plan = read_plan(self._store, tenant, dataset)
        place = parse_sample_name(name)
        try:
            index = plan.index(place) if place else None
        except ValueError:
            index = None
        if index is None:
            raise NotFound(f"dataset {dataset!r} has no sample {name!r}; samples are called like S0000012_0003")
        shard = index // plan.shard_size
        at = DatasetKeys(tenant, dataset)
        return plan, at.shard_samples(shard), self._stored(at.shard_report(shard), name)

    def _stored(self, report_key: str, name: str) -> StoredSample:
        with self._lock:
            report = self._reports.get(report_key)
        if report is None:
            try:
                report = ShardReport.model_validate_json(self._store.get(report_key))
            except ObjectNotFound as exc:
                raise NotFound(f"sample {name!r} is not made yet, or was taken away with its dataset") from exc
            with self._lock:
                self._reports[report_key] = report
                if len(self._reports) > REMEMBERED_REPORTS:
                    self._reports.popitem(last=False)
        for stored in report.samples:
            if stored.row.id == name:
                return stored
        raise NotFound(f"sample {name!r} could not be made; the manifest's shortfall says why")

    def _object(self, key: str, media_type: str, filename: str) -> Download:
        found = self._store.stat(key)
        return Download(
            media_type=media_type,
            filename=filename,
            etag=found.etag.strip('"'),
            segments=(Segment(found.size, key=key),),
            size=found.size,
        )

    def _demand(self, tenant: str, dataset: str) -> None:
        """Raise NotFound unless the tenant has such a dataset."""
        read_accepted(self._store, tenant, dataset)

    def _succeeded(self, tenant: str, dataset: str, what: str) -> DatasetKeys:
        """Keys of a succeeded dataset; raises NotFound, or Conflict with the state it is in."""
        return require_succeeded(self._store, tenant, dataset, what)


def _why_not(dataset: str, product: Product) -> str:
    """Why a set has no product that sets of one kind alone have."""
    kept = "images are kept of it, and no templates" if product.only == "templates" else "no images are kept of it"
    return f"dataset {dataset!r} has no {product.label.removeprefix('a ')}: {kept}"
