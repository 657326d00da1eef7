"""The layouts in which a set can be had: one set, as many matcher test harnesses read it."""

from enum import StrEnum


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
    """IJB: templates and template pairs as text, 1:N gallery and probes as CSV."""
    WEBDATASET = "webdataset"
    """WebDataset: tar shards of KEY.png and KEY.json."""
    PARQUET = "parquet"
    """Parquet with the images inside, as Hugging Face datasets reads it."""
    BOB = "bob"
    """Bob: CSV lists of references and probes."""

    @property
    def stored(self) -> bool:
        """Whether its archive is made once and kept; the plain one is put together from the shards as it is sent."""
        return self is not Layout.PLAIN
