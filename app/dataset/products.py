"""What can be had of a finished dataset, or of a release, beside its samples: one table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["images", "templates"]
"""What a set is delivered as: its samples' images, or their templates alone, of which no image was kept."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """A row of the table."""

    name: str
    """As the API's links call it."""
    file: str
    """Its file in an archive or a folder; its key below the dataset's prefix."""
    media_type: str
    label: str
    """What it is called in a sentence, with its article."""
    shown: bool = False
    """Whether a browser shows it rather than saves it."""
    late: bool = False
    """Whether sets of the first releases have none."""
    only: Kind | None = None
    """Whether sets of one kind alone have it."""
    query: str = ""
    """What tells it from another one under the same path."""

    @property
    def path(self) -> str:
        """The last part of its path in the API."""
        return self.name.replace("_", "-")

    @property
    def media(self) -> str:
        """Its media type without parameters."""
        return self.media_type.partition(";")[0]


@dataclass(frozen=True, kw_only=True)
class ShardProduct:
    """What there is of every shard, once it is made: a row of the table for products that come in parts."""

    name: str
    file: str
    """Its key below the dataset's prefix, with {} for the shard's number."""
    media_type: str
    label: str
    late: bool = False
    """Whether sets of before have none."""


MANIFEST = Product(name="manifest", file="manifest.json", media_type="application/json", label="a manifest")
COMPARISONS = Product(
    name="comparisons", file="comparisons.csv", media_type="text/csv; charset=utf-8", label="comparisons"
)
CONTACT_SHEET = Product(
    name="contact_sheet",
    file="contact-sheet.png",
    media_type="image/png",
    label="a contact sheet",
    shown=True,
    only="images",
)
TEMPLATES = Product(
    name="templates",
    file="templates.npz",
    media_type="application/zip",
    label="a file of templates",
    only="templates",
)
"""Arrays that numpy reads: `ids`, `subjects`, `roles` and `templates`, a row a sample, in the manifest's order."""
REPORT = Product(
    name="report", file="report.json", media_type="application/json", label="a report", query="format=json"
)
REPORT_PAGE = Product(
    name="report",
    file="report.html",
    media_type="text/html; charset=utf-8",
    label="a report",
    shown=True,
    query="format=html",
)
DATA_CARD = Product(
    name="data_card",
    file="data-card.md",
    media_type="text/markdown; charset=utf-8",
    label="a data card",
    late=True,
)
PROVENANCE = Product(
    name="provenance",
    file="provenance.jsonld",
    media_type="application/ld+json",
    label="a provenance record",
    late=True,
)
CROISSANT = Product(
    name="croissant", file="croissant.json", media_type="application/ld+json", label="a Croissant file", late=True
)

THUMBNAILS = ShardProduct(
    name="thumbnails", file="thumbnails/{}.jpg", media_type="image/jpeg", label="thumbnails", late=True
)
"""Made with the samples, to look at them in a browser; in no archive and under no digest."""

PRODUCTS = (MANIFEST, COMPARISONS, CONTACT_SHEET, REPORT, REPORT_PAGE, DATA_CARD, PROVENANCE, CROISSANT, TEMPLATES)
"""In the order in which a plain archive has them, before the samples."""


def of_kind(kind: Kind) -> tuple[Product, ...]:
    """The products that sets of one kind have."""
    return tuple(product for product in PRODUCTS if product.only in (None, kind))


def there(exists: Callable[[str], bool]) -> tuple[Product, ...]:
    """The products of a set, where `exists` tells of a file whether there is one: sets of old have no documents."""
    late = exists(CROISSANT.file)  # written last of those that came late
    kind: Kind = "templates" if late and exists(TEMPLATES.file) else "images"
    return tuple(product for product in of_kind(kind) if late or not product.late)


def links(path: str, kind: Kind = "images") -> dict[str, str]:
    """Where the products of the resource at `path` are, by their names."""
    return {product.name: f"{path}/{product.path}" for product in of_kind(kind)}
