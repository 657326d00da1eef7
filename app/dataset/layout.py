"""The layouts in which a set can be had: one set, as many matcher test harnesses read it."""

from enum import StrEnum
from typing import NamedTuple

from app.dataset.comparisons import Groups, Selection, count_comparisons

CHIP = 112
"""Pixels a side of an aligned face."""

FOLDS = 10
"""Of LFW's protocol."""

MOST_RENDERED = 100_000
"""Samples of a layout for which every image is decoded, its face found or its file written anew: one task does it."""

MOST_IN_BIN = 100_000
"""Comparisons in an InsightFace .bin; its reader holds both images of each in memory, 300 kB a comparison."""

LONGEST_LFW_NUMBER = 9_999
"""LFW numbers a subject's images with four digits."""


class Layout(StrEnum):
    """Name of a layout, as requests and URLs spell it."""

    PLAIN = "plain"
    """The files as the manifest lists them, manifest and comparisons beside them."""
    ZIP = "zip"
    """The same as a ZIP file."""
    IMAGEFOLDER = "imagefolder"
    """A folder a subject, and metadata.jsonl (Hugging Face, torchvision)."""
    LFW = "lfw"
    """Labeled Faces in the Wild: Name/Name_0001.jpg, pairs.txt, people.txt."""
    INSIGHTFACE = "insightface"
    """InsightFace evaluation folders of 112×112 chips aligned to the five points."""
    INSIGHTFACE_BIN = "insightface-bin"
    """InsightFace's verification file: encoded images and whether each pair is mated."""
    ALIGNED = "aligned"
    """ImageFolder of 112×112 chips aligned to the five points."""
    FRTE = "frte"
    """NIST FRTE validation: PPM images, and lists to enrol, search and match."""
    IJB = "ijb"
    """IJB: templates and template pairs as text, 1:N galleries and probes as CSV, the five points of every face."""
    WEBDATASET = "webdataset"
    """WebDataset: tar shards of KEY.png and KEY.json, in one tar."""
    PARQUET = "parquet"
    """Parquet files with the images inside, as Hugging Face datasets reads them."""
    BOB = "bob"
    """Bob: CSV lists of what to enrol, to probe and to match."""
    GALLERY = "gallery"
    """Folders and files called as those of a profiled gallery are, by its pattern; no name is taken over."""

    @property
    def stored(self) -> bool:
        """Whether its archive is made once and kept; the plain one is put together from the shards as it is sent."""
        return self is not Layout.PLAIN

    def faces(self, samples: int) -> bool:
        """Whether the five points of every face are found for it, for a set of so many samples."""
        if self is Layout.LFW:
            return is_funneled(samples)
        return self in (Layout.INSIGHTFACE, Layout.INSIGHTFACE_BIN, Layout.ALIGNED, Layout.IJB)

    @property
    def suffix(self) -> str:
        """File name ending of its archive, with the dot."""
        return ".zip" if self is Layout.ZIP else ".tar"

    @property
    def media_type(self) -> str:
        """Media type of its archive."""
        return "application/zip" if self is Layout.ZIP else "application/x-tar"


def is_funneled(samples: int) -> bool:
    """Whether the layout `lfw` of a set of so many samples has them anew as LFW's funneled pictures, too."""
    return samples <= MOST_RENDERED


class Shape(NamedTuple):
    """What decides which layouts a set can be had in."""

    subjects: int
    samples_per_subject: int
    distractors: int
    selection: Selection
    width: int
    height: int
    groups: Groups = ()
    """Where subjects have different numbers of samples: (samples, subjects) …; `samples_per_subject` is the largest."""
    templates: bool = False
    """Whether templates are all that is kept of its samples."""
    named: bool = False
    """Whether it is known how a gallery's folders and files are called."""


def why_not(layout: Layout, shape: Shape) -> str | None:
    """Why a set of this shape cannot be had in a layout, and what to change; None if it can."""
    return (
        _imageless(layout, shape)
        or _unnamed(layout, shape)
        or _too_large(layout, shape)
        or _too_few(layout, shape)
        or _too_small(layout, shape)
    )


def _imageless(layout: Layout, shape: Shape) -> str | None:
    if shape.templates and layout is not Layout.PLAIN:
        return (
            f"{layout.value!r} is a layout of images, and of this set templates alone are kept; take 'plain', or ask "
            "for product 'images'"
        )
    return None


def _unnamed(layout: Layout, shape: Shape) -> str | None:
    if layout is Layout.GALLERY and not shape.named:
        return (
            "'gallery' calls folders and files as the gallery of a profile does, and there is no profile, or it tells "
            "of no pattern; ask with `like` and a profile that does (`facsimile profile show` says so), or take "
            "'imagefolder'"
        )
    return None


def _too_large(layout: Layout, shape: Shape) -> str | None:
    samples = shape.subjects * shape.samples_per_subject + shape.distractors
    if (layout.faces(samples) or layout is Layout.FRTE) and samples > MOST_RENDERED:
        return (
            f"{layout.value!r} is made for at most {MOST_RENDERED:,} samples and this set has {samples:,}; "
            "ask for fewer, or for a layout that takes the images as they are"
        )
    if layout is Layout.LFW and shape.samples_per_subject > LONGEST_LFW_NUMBER:
        return f"'lfw' numbers at most {LONGEST_LFW_NUMBER:,} samples of a subject; ask for fewer"
    listed = sum(count_comparisons(shape.selection, *shape[:3], shape.groups))
    if layout is Layout.INSIGHTFACE_BIN and listed > MOST_IN_BIN:
        return (
            f"'insightface-bin' holds at most {MOST_IN_BIN:,} comparisons and this set lists {listed:,}; "
            "choose comparisons.selection 'balanced', or fewer subjects"
        )
    return None


def _too_few(layout: Layout, shape: Shape) -> str | None:
    mated = (Layout.LFW, Layout.INSIGHTFACE, Layout.FRTE, Layout.IJB, Layout.BOB)
    if layout in mated and shape.samples_per_subject < 2:
        return f"{layout.value!r} compares samples of one subject; ask for samples_per_subject of 2 or more"
    if layout in (Layout.LFW, Layout.INSIGHTFACE_BIN, Layout.IJB) and shape.selection == "none":
        return f"{layout.value!r} lists comparisons; choose another comparisons.selection than 'none'"
    if layout is Layout.LFW and shape.subjects < FOLDS:
        return f"'lfw' has {FOLDS} folds with a subject in each at least; ask for {FOLDS} subjects or more"
    if layout is Layout.IJB and shape.subjects < 2:
        return "'ijb' has two galleries with a subject in each at least; ask for 2 subjects or more"
    return None


def _too_small(layout: Layout, shape: Shape) -> str | None:
    chips = (Layout.INSIGHTFACE, Layout.INSIGHTFACE_BIN, Layout.ALIGNED)
    if layout in chips and min(shape.width, shape.height) < CHIP:
        return (
            f"{layout.value!r} has aligned faces of {CHIP}×{CHIP} pixels, nothing is upscaled, and images of "
            f"{shape.width}×{shape.height} are smaller; ask for a larger image.size"
        )
    return None
