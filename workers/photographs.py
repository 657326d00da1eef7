"""A user's own photographs: which files of a folder are some, and their pixels as a person would see them.

The one reader of pictures that were not made here. Cameras write them sideways with a tag that says how to turn them,
in 16 bits, in formats of their own; folders hold links to nowhere, pipes, two copies of one picture. Whatever cannot
be used is named with its reason, and nothing is skipped without a word.

Legend: pixels are uint8 [H, W, 3], sRGB.
"""

import hashlib
import io
import os
import stat
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from app.errors import FacsimileError, RequestRefused
from workers.images import Pixels

USUAL = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
"""Endings by which pictures are known that lie beside the subjects' folders instead of in them."""

BESIDE = (
    ".txt",
    ".json",
    ".csv",
    ".tsv",
    ".xml",
    ".xmp",
    ".md",
    ".html",
    ".ini",
    ".db",
    ".npy",
    ".npz",
    ".aae",
    ".thm",
)
"""Endings of files that lie beside pictures without being any; hidden files are passed over too."""

NOT_READ = {
    ".heic": "HEIC",
    ".heif": "HEIF",
    ".hif": "HEIF",
    ".jxl": "JPEG XL",
    ".svg": "SVG",
    ".psd": "PSD",
    ".dng": "a raw format",
    ".cr2": "a raw format",
    ".cr3": "a raw format",
    ".nef": "a raw format",
    ".arw": "a raw format",
}
"""Endings of pictures in a format that is not read, and what to call it. All else is taken for what its bytes are."""

MAX_BYTES = 256 * 1024 * 1024
MAX_PIXELS = 100_000_000
"""A picture beyond either is refused before it is decoded: 100 million pixels take 300 MB."""


class Unusable(FacsimileError):
    """Pictures that cannot be used; says why."""


def subject_folders(folder: Path, field: str = "folder") -> list[tuple[str, list[Path]]]:
    """List subjects and their pictures in FOLDER/SUBJECT/PICTURE, by name, whether they can be read or not.

    A subject that is a link to nothing has no pictures. Raises RequestRefused, with the `field` that the folder was
    given in, for one that holds no subjects.
    """
    if not folder.is_dir():
        raise RequestRefused(
            [(field, f"{printable(folder)} is not a folder; give one that holds a folder of each subject")]
        )
    entries = sorted(folder.iterdir())
    loose = [path.name for path in entries if path.suffix.lower() in (*USUAL, *NOT_READ) and not path.is_dir()]
    if loose:
        text = f"{printable(folder)} holds {len(loose)} pictures ({printable(loose[0])} …) beside its subjects' folders"
        raise RequestRefused([(field, f"{text}; give each subject a folder of its own")])
    subjects = [
        (path.name, sorted(filter(_may_be_picture, path.iterdir())) if path.is_dir() else [])
        for path in entries
        if not path.name.startswith(".") and (path.is_dir() or (path.is_symlink() and not path.exists()))
    ]
    if not subjects:
        text = f"{printable(folder)} holds no subjects' folders; give one that holds a folder of each subject"
        raise RequestRefused([(field, text)])
    return subjects


def read_photograph(path: Path) -> Pixels:
    """Read a picture, uint8 [H, W, 3], turned as its EXIF tag says, 16 bits scaled to 8; raises Unusable.

    What is transparent is shown over white. Of a file with several pictures none is chosen silently: it is refused.
    """
    if why := NOT_READ.get(path.suffix.lower()):
        raise Unusable(f"is in {why}, which is not read; convert it to JPEG or PNG")
    data = _bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of doubtful metadata; too many pixels are refused below
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Unusable(f"has too many pixels; at most {MAX_PIXELS:,} are read")
                # A telephone's JPEG may hold a depth map or a smaller copy behind its picture (MPO).
                frames = getattr(image, "n_frames", 1)
                if frames > 1 and image.format != "MPO":
                    raise Unusable(f"holds {frames} pictures; save the one that is meant")
                image.load()
                return _eight_bits(ImageOps.exif_transpose(image))
    except Unusable:
        raise
    except UnidentifiedImageError as exc:
        raise Unusable("is no picture in a format that is read") from exc
    except Image.DecompressionBombError as exc:
        raise Unusable(f"has too many pixels; at most {MAX_PIXELS:,} are read") from exc
    except (OSError, SyntaxError, ValueError, EOFError, ArithmeticError, MemoryError, TypeError) as exc:
        # Pillow's plug-ins raise whatever a broken file makes them stumble over.
        raise Unusable(f"cannot be read ({exc or type(exc).__name__})") from exc


def copies(pictures: Iterable[Path]) -> dict[Path, Path]:
    """Files that hold the very bytes of an earlier one in this order, and which; unreadable ones are left out.

    Only files of one size are read, so that this costs little where there are no copies.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in pictures:
        try:
            status = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES:
            by_size[status.st_size].append(path)
    found: dict[Path, Path] = {}
    for alike in by_size.values():
        first: dict[bytes, Path] = {}
        for path in alike if len(alike) > 1 else ():
            try:
                digest = hashlib.sha256(path.read_bytes()).digest()
            except OSError:
                continue
            if digest in first:
                found[path] = first[digest]
            else:
                first[digest] = path
    return found


def printable(name: str | Path) -> str:
    """A file's name as it can be printed and written: what is no UTF-8, and control characters, are escaped."""
    text = os.fspath(name).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _may_be_picture(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() not in BESIDE


def _bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unusable("is not a regular file")  # opening a pipe would wait for ever
        if status.st_size > MAX_BYTES:
            raise Unusable(f"has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read")
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise Unusable("is a link to nothing" if path.is_symlink() else "is gone") from exc
    except OSError as exc:
        raise Unusable(f"cannot be read ({exc.strerror or exc})") from exc


def _eight_bits(image: Image.Image) -> Pixels:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise Unusable(f"has grey values that are neither of 8 nor of 16 bits (mode {image.mode})")
        grey = np.rint(values / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, 2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = Image.new("RGBA", image.size, "white")
        over.alpha_composite(image.convert("RGBA"))
        image = over
    return np.array(image.convert("RGB"))
