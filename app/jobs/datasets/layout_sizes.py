"""In which layouts a set can be had, and how large each is: as it lies there, or about as large as it will be.

What is estimated comes of the set's own samples: files that a layout takes as they are keep their size, chips and
pictures that it writes anew are reckoned by their pixels, and each has the members, tables and notes beside it that
such archives had when they were made (`tests/layouts/test_sizes.py` holds the estimates against archives).
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from app.dataset.keys import DatasetKeys
from app.dataset.layout import CHIP, Layout, is_funneled, why_not
from app.dataset.manifest import read_summary
from app.dataset.plan import Plan
from app.jobs.datasets.archive import lay_out_archive
from app.jobs.records import read_plan
from app.storage import ObjectStore

PNG_BYTES_PER_PIXEL = 1.4
"""Of an aligned chip, where the set's own files are JPEG and tell nothing of it."""

JPEG_CHIP_BYTES = 6_400
"""Of an aligned chip of 112×112 pixels written as JPEG."""

FUNNELED_BYTES = 13_200
"""Of an image of 250×250 pixels that the layout `lfw` has beside the set's own, with its member's head."""

BESIDE: Mapping[Layout, int] = {
    Layout.IMAGEFOLDER: 1_300,
    Layout.LFW: 1_050,
    Layout.INSIGHTFACE: 850,
    Layout.INSIGHTFACE_BIN: 570,
    Layout.ALIGNED: 1_550,
    Layout.FRTE: 1_000,
    Layout.IJB: 800,
    Layout.WEBDATASET: 1_900,
    Layout.PARQUET: 450,
    Layout.BOB: 1_050,
    Layout.GALLERY: 1_050,
}
"""Bytes a sample that go with its picture: an archive's member, lines of lists, a side file."""


class LayoutSize(BaseModel):
    """One layout of one set."""

    model_config = ConfigDict(frozen=True)

    layout: Layout
    state: Literal["there", "to_be_made", "not_possible"] = Field(
        description="`there`: it is sent at once; `to_be_made`: when it is first asked for, and kept."
    )
    bytes: int | None = Field(description="Of its archive; null where it is not possible.")
    measured: bool = Field(description="Whether that is its size to the byte; else about so much.")
    media_type: str
    reason: str | None = Field(description="Why it is not possible, and what to change.")


class Counts(NamedTuple):
    """Of the set's samples."""

    samples: int
    bytes: int


def layout_sizes(store: ObjectStore, tenant: str, dataset: str) -> list[LayoutSize]:
    """Every layout of a set that has succeeded, in the order of the table; raises NotFound."""
    at, plan = DatasetKeys(tenant, dataset), read_plan(store, tenant, dataset)
    counts = read_summary(store.get(at.summary)).counts
    plain = lay_out_archive(store, at, plan.folder).size
    there = {info.key.removeprefix(at.layouts): info.size for info in store.list(at.layouts)}
    found = []
    for layout in Layout:
        reason = why_not(layout, plan.shape)
        size = plain if layout is Layout.PLAIN else there.get(layout.value)
        known = size is not None
        if size is None and reason is None:
            size = estimate(layout, plan, Counts(counts.samples, counts.bytes), plain)
        found.append(
            LayoutSize(
                layout=layout,
                state="there" if known else "not_possible" if reason else "to_be_made",
                bytes=size,
                measured=known,
                media_type=layout.media_type,
                reason=None if known else reason,
            )
        )
    return found


def estimate(layout: Layout, plan: Plan, counts: Counts, plain: int) -> int:
    """About how large a layout's archive will be; `plain` is the plain one's size, bytes."""
    if layout in (Layout.PLAIN, Layout.ZIP):
        return plain
    width, height = plan.image.width, plan.image.height
    if layout is Layout.FRTE:  # uncompressed
        pictures = counts.samples * 3 * width * height
    elif layout is Layout.INSIGHTFACE:
        pictures = counts.samples * JPEG_CHIP_BYTES
    elif layout in (Layout.ALIGNED, Layout.INSIGHTFACE_BIN):
        per_pixel = counts.bytes / (counts.samples * width * height) if counts.samples else 0.0
        per_pixel = per_pixel if plan.image.format == "png" else PNG_BYTES_PER_PIXEL
        pictures = round(counts.samples * per_pixel * CHIP * CHIP)
    else:
        pictures = counts.bytes
        if layout is Layout.LFW and is_funneled(plan.samples):
            pictures += counts.samples * FUNNELED_BYTES
    return pictures + counts.samples * BESIDE[layout]
