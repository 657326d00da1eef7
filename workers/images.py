"""Pixels and files: the one conversion between float images and uint8, the codecs, and the synthetic-content mark.

Legend: float images are float32 [N, H, W, 3] in [-1, 1]; pixels are uint8 [H, W, 3], sRGB display values.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from app.dataset.source_type import SourceType, source_type_uri
from app.errors import Corrupt
from workers.png import write_png

Pixels = NDArray[np.uint8]
FloatImages = NDArray[np.float32]

XMP_KEYWORD = "XML:com.adobe.xmp"
"""Keyword of the PNG text chunk that holds XMP (XMP specification part 3, 1.1.5)."""

THUMBNAIL_QUALITY = 80
"""JPEG's, 1 to 100."""

SOFTWARE = "Facsimile"
_EXIF_SOFTWARE, _EXIF_DESCRIPTION, _EXIF_UNIQUE_ID = 0x0131, 0x010E, 0xA420


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What every file says of itself: that it is synthetic, and where it belongs."""

    dataset: str
    sample: str
    model: str
    """Name and version."""
    model_digest: str
    source_type: SourceType


def to_pixels(images: FloatImages) -> Pixels:
    """Convert float images [N, H, W, 3] in [-1, 1] to uint8 [N, H, W, 3], rounding to nearest, half to even."""
    return np.asarray(np.rint((np.clip(images, -1, 1) + 1) * np.float32(127.5)), np.uint8)


def to_floats(pixels: Pixels) -> FloatImages:
    """Convert uint8 pixels of any shape to float32 in [-1, 1]; `to_pixels` takes them back exactly."""
    return np.asarray(pixels.astype(np.float32) / np.float32(127.5) - 1, np.float32)


def encode(pixels: Pixels, mark: Mark, *, quality: int | None) -> bytes:
    """Write one image [H, W, 3] with its mark: as PNG, or as JPEG where `quality` (1 to 100) is given."""
    xmp = _xmp(mark)
    if quality is None:
        text = {
            "Software": SOFTWARE,
            "Description": _description(mark),
            "DigitalSourceType": source_type_uri(mark.source_type),
        }
        return write_png(pixels, text | {XMP_KEYWORD: xmp}, _exif(mark))
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, subsampling=0, exif=_exif(mark), xmp=xmp.encode())
    return out.getvalue()


def encode_thumbnails(pixels: Pixels, mark: Mark) -> bytes:
    """Write a sheet of thumbnails [H, W, 3] as a JPEG of moderate quality, with its mark."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(
        out, "JPEG", quality=THUMBNAIL_QUALITY, subsampling=2, exif=_exif(mark), xmp=_xmp(mark).encode()
    )
    return out.getvalue()


def encode_sheet(pixels: Pixels, source_type: SourceType) -> bytes:
    """Write a contact sheet [H, W, 3] as PNG, marked as synthetic."""
    return write_png(pixels, {"Software": SOFTWARE, "DigitalSourceType": source_type_uri(source_type)})


def encode_small(pixels: Pixels, most: int, source_type: SourceType) -> bytes:
    """Write an image [H, W, 3] as JPEG in at most so many bytes, as good as that allows; the lowest quality is 30."""
    image = Image.fromarray(pixels)
    for quality in (88, 80, 70, 60, 45, 30):
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality, optimize=True, comment=source_type_uri(source_type))
        if out.tell() <= most:
            break
    return out.getvalue()


def decode(data: bytes, name: str = "image") -> Pixels:
    """Read an image file's pixels, uint8 [H, W, 3]; raises Corrupt with `name`."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as exc:
        raise Corrupt(f"{name} is not a readable image: {exc}") from exc


def pixel_sha256(pixels: Pixels) -> str:
    """Digest of an image [H, W, 3] whatever file it is in: SHA-256 over `"{w}x{h} RGB8\\n"` and its rows."""
    digest = hashlib.sha256(f"{pixels.shape[1]}x{pixels.shape[0]} RGB8\n".encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def pixel_sha256_of_file(path: Path) -> str:
    """Digest of the pixels in an image file; raises Corrupt."""
    return pixel_sha256(decode(path.read_bytes(), str(path)))


def read_mark(data: bytes) -> dict[str, Any]:
    """What a file says of itself: its text chunks (PNG), EXIF and XMP; empty where there is nothing."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        found = {key: str(value) for key, value in image.info.items() if isinstance(value, str)}
        xmp = image.info.get("xmp") or found.get(XMP_KEYWORD, "")
        exif = image.getexif()
        return found | {
            "xmp": xmp.decode() if isinstance(xmp, bytes) else xmp,
            "exif_software": exif.get(_EXIF_SOFTWARE, ""),
            "exif_description": exif.get(_EXIF_DESCRIPTION, ""),
        }


def contact_sheet(rows: list[list[Pixels | None]], cell: int) -> Pixels:
    """Lay images out, a row a subject, uint8 [rows · cell, columns · cell, 3]; a missing one is left grey.

    Every image is scaled to fit a square of `cell` pixels.
    """
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * cell, columns * cell, 3), 128, np.uint8)
    for y, row in enumerate(rows):
        for x, pixels in enumerate(row):
            if pixels is not None:
                image = Image.fromarray(pixels)
                image.thumbnail((cell, cell), Image.Resampling.LANCZOS)
                if max(image.size) < cell:
                    ratio = cell / max(image.size)
                    image = image.resize((round(image.width * ratio), round(image.height * ratio)))
                top, left = y * cell + (cell - image.height) // 2, x * cell + (cell - image.width) // 2
                sheet[top : top + image.height, left : left + image.width] = np.asarray(image)
    return sheet


def _description(mark: Mark) -> str:
    return (
        f"Synthetic face of nobody. Dataset {mark.dataset}, sample {mark.sample}, "
        f"model {mark.model} ({mark.model_digest})"
    )


def _exif(mark: Mark) -> bytes:
    exif = Image.Exif()
    exif[_EXIF_SOFTWARE] = SOFTWARE
    exif[_EXIF_DESCRIPTION] = _description(mark)
    return exif.tobytes()


def _xmp(mark: Mark) -> str:
    attributes = " ".join(
        f"{name}={quoteattr(value)}"
        for name, value in (
            ("Iptc4xmpExt:DigitalSourceType", source_type_uri(mark.source_type)),
            ("xmp:CreatorTool", SOFTWARE),
            ("facsimile:Dataset", mark.dataset),
            ("facsimile:Sample", mark.sample),
            ("facsimile:Model", mark.model),
            ("facsimile:ModelDigest", mark.model_digest),
        )
    )
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about=""'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' xmlns:facsimile="urn:facsimile:1" {attributes}/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
