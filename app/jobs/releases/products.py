"""What can be downloaded of a release: its dataset's products, whatever has become of the dataset since."""

import hashlib
from dataclasses import replace

from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.dataset.products import Product
from app.dataset.release import RELEASE_FILE, Release
from app.jobs.datasets.archive import BLOCK, Segment, below, member_header
from app.jobs.datasets.products import Download, ProductService
from app.jobs.releases.service import ReleaseService, release_file
from app.storage import ObjectStore


class PinnedProducts(ProductService):
    """Products of datasets that a release keeps: they have succeeded, and may be gone for the API of datasets."""

    def _demand(self, tenant: str, dataset: str) -> None:
        pass

    def _succeeded(self, tenant: str, dataset: str, what: str) -> DatasetKeys:
        return DatasetKeys(tenant, dataset)


class ReleaseProducts:
    """Finds the products of releases; each call is one tenant's. `version` may be `latest`."""

    def __init__(self, store: ObjectStore, releases: ReleaseService) -> None:
        self._releases = releases
        self.products = PinnedProducts(store)
        """Reads what is found here."""

    def product(self, tenant: str, name: str, version: str, product: Product) -> Download:
        """One product of the table; raises NotFound for one that sets of old do not have."""
        release = self._releases.get(tenant, name, version)
        return _called(release, self.products.product(tenant, release.dataset, product), product.file)

    def sample(self, tenant: str, name: str, version: str, sample: str) -> Download:
        """One sample by its label."""
        release = self._releases.get(tenant, name, version)
        return self.products.sample(tenant, release.dataset, sample)

    def thumbnails(self, tenant: str, name: str, version: str, sheet: int) -> Download:
        """One sheet of thumbnails; raises NotFound for a set that has none."""
        release = self._releases.get(tenant, name, version)
        found = self.products.thumbnails(tenant, release.dataset, sheet)
        return _called(release, found, f"thumbnails-{sheet}.jpg")

    def sidecar(self, tenant: str, name: str, version: str, sample: str) -> Download:
        """The C2PA manifest that lies beside a sample; raises NotFound where there is none."""
        release = self._releases.get(tenant, name, version)
        return self.products.sidecar(tenant, release.dataset, sample)

    def dataset(self, tenant: str, name: str, version: str) -> str:
        """The dataset that a release is."""
        return self._releases.get(tenant, name, version).dataset

    def archive(self, tenant: str, name: str, version: str, layout: Layout = Layout.PLAIN) -> Download:
        """Everything in one uncompressed tar: the dataset's own, and the release's record before it.

        A layout is what the dataset has; raises ObjectNotFound for one that is not made.
        """
        release = self._releases.get(tenant, name, version)
        if layout.stored:
            found = self.products.archive(tenant, release.dataset, layout)
            return _called(release, found, f"{layout}{layout.suffix}")
        product = self.products.archive(tenant, release.dataset)
        record = release_file(release)
        path = below(self.products.folder(tenant, release.dataset), RELEASE_FILE)
        member = member_header(path, len(record)) + record + bytes(-len(record) % BLOCK)
        return replace(
            product,
            filename=f"{release.name}-{release.version}.tar",
            etag=f"{product.etag}-{hashlib.sha256(record).hexdigest()[:16]}",
            segments=(Segment(len(member), literal=member), *product.segments),
            size=len(member) + product.size,
        )


def _called(release: Release, product: Download, what: str) -> Download:
    return replace(product, filename=f"{release.name}-{release.version}-{what}")
