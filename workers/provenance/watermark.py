"""An imperceptible watermark in a sample's pixels: a keyed spread spectrum, found without the original.

Every whole 8×8 block of the luma (BT.601) gets, in 13 of its mid-low DCT coefficients, plus or minus an amplitude; the
signs ("chips") come from the key alone. Busy blocks take more, flat ones less. JPEG keeps these frequencies, and its
grid of blocks is the watermark's. The detector correlates the coefficients, clipped and brought to the same power by
frequency, with the chips: without the watermark its z is standard normal whatever the picture, as the chips are chance.

    pixels uint8 [H, W, 3]; blocks float64 [⌊H/8⌋, ⌊W/8⌋, 8, 8]; chips float64 [⌊H/8⌋, ⌊W/8⌋, 13] of ±1

It carries no message: it says "made by whoever holds this key". Rescaling, and cropping on the left or above, moves the
grid, and it is lost; cropping on the right or below only leaves less of it.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from app.config import watermark_key
from app.errors import FacsimileError
from workers.images import Pixels, decode

SIDE = 8
"""Pixels a side of a block: JPEG's."""

_ROWS, _COLUMNS = np.array(
    [(0, 3), (1, 2), (2, 1), (3, 0), (1, 3), (2, 2), (3, 1), (0, 4), (4, 0), (1, 4), (4, 1), (2, 3), (3, 2)]
).T
_LUMA = np.array([0.299, 0.587, 0.114])

AMPLITUDE = 3.0
"""Of a coefficient (orthonormal DCT of levels 0 to 255) in a block of ordinary activity."""

ORDINARY = 6.0
"""Activity, root mean square of a block's AC coefficients in levels, at which the amplitude is as it stands."""

FLATTEST, BUSIEST = 0.6, 2.0
"""Between these the amplitude is scaled by a block's activity."""

_ROW_BITS = 512 * len(_ROWS)
"""Signs of a row of blocks: enough for 4096 pixels."""

CLIP = 12.0
"""Coefficients beyond this say nothing more: one sharp edge must not outvote many blocks."""

THRESHOLD = 4.5
"""z from which the watermark counts as found; 3.4e-6 of images without it reach that by chance (one-sided normal)."""

# In float64, so that no two machines round one pixel differently.
Blocks = NDArray[np.float64]


class TooSmall(FacsimileError):
    """An image without a single whole block."""


def key_id(key: str) -> str:
    """What a key may be called in public: 16 hex digits that do not give it away."""
    return hashlib.sha256(b"facsimile watermark key id\n" + key.encode()).hexdigest()[:16]


def embed(pixels: Pixels, key: str) -> Pixels:
    """Return a copy [H, W, 3] that carries the key's watermark; the same pixels and key give the same copy.

    Right and lower edges that do not fill a block stay as they are.
    """
    blocks = _blocks(pixels)
    coefficients = dctn(blocks, axes=(2, 3), norm="ortho")
    energy = (coefficients**2).sum((2, 3)) - coefficients[..., 0, 0] ** 2
    activity = np.sqrt(np.maximum(energy, 0)) / SIDE
    gain = AMPLITUDE * np.clip(activity / ORDINARY, FLATTEST, BUSIEST)
    rows, columns = blocks.shape[:2]
    added = np.zeros_like(blocks)
    added[..., _ROWS, _COLUMNS] = _chips(rows, columns, key) * gain[..., None]
    luma = idctn(added, axes=(2, 3), norm="ortho").swapaxes(1, 2).reshape(rows * SIDE, columns * SIDE)
    out = pixels.astype(np.float64)
    out[: rows * SIDE, : columns * SIDE] += luma[..., None]
    return np.asarray(np.rint(out.clip(0, 255)), np.uint8)


def detect(pixels: Pixels, key: str) -> float:
    """How surely an image [H, W, 3] carries the key's watermark: z, standard normal if it does not."""
    blocks = _blocks(pixels)
    coefficients = dctn(blocks, axes=(2, 3), norm="ortho")[..., _ROWS, _COLUMNS]
    found = np.clip(coefficients, -CLIP, CLIP)
    found /= np.sqrt((found**2).mean((0, 1))) + 1e-6
    return float((found * _chips(blocks.shape[0], blocks.shape[1], key)).sum() / np.sqrt(found.size))


def z_of_file(path: Path) -> float:
    """z of an image file under the key that FACSIMILE_WORKER__WATERMARK_KEY holds; raises Corrupt."""
    return detect(decode(path.read_bytes(), str(path)), watermark_key())


def key_id_at_hand() -> str:
    """The id of the key that FACSIMILE_WORKER__WATERMARK_KEY holds."""
    return key_id(watermark_key())


def _blocks(pixels: Pixels) -> Blocks:
    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    if not rows or not columns:
        raise TooSmall(f"an image of {pixels.shape[1]}×{pixels.shape[0]} has no whole block of {SIDE}×{SIDE} pixels")
    luma: Blocks = pixels[: rows * SIDE, : columns * SIDE] @ _LUMA
    return luma.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)


def _chips(rows: int, columns: int, key: str) -> Blocks:
    """The signs of so many blocks [rows, columns, 13]: a block has the same ones in an image of any size."""
    digest = hashlib.sha256(b"facsimile watermark chips 1\n" + key.encode()).digest()
    words = np.random.Philox(key=np.frombuffer(digest[:16], "<u8")).random_raw(rows * _ROW_BITS // 64)
    bits = np.unpackbits(words.astype("<u8").view(np.uint8)).reshape(rows, _ROW_BITS)[:, : columns * len(_ROWS)]
    return bits.reshape(rows, columns, len(_ROWS)).astype(np.float64) * 2 - 1
