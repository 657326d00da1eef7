"""The camera as a factor: blur, noise, exposure, white balance, compression, resolution and sharpening of a picture.

Order as in a camera: lens and sensor in linear light, then sharpening, the tone curve, then the file. At latents of 0
it is clean. Noise comes from the latents' own bits, so the same latents give the same picture in every batch.
"""

import hashlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.generator.parametric import faces
from workers.generator.parametric.develop import Image, decode, tone

# ITU-T T.81, tables K.1 and K.2.
_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float64,
)
_CHROMA = np.full((8, 8), 99.0)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])

_k = np.arange(8)
_DCT = (
    np.sqrt(2 / 8) * np.cos((2 * _k[None] + 1) * _k[:, None] * np.pi / 16) * np.where(_k[:, None] == 0, np.sqrt(0.5), 1)
)


def capture(encoded: Image, observation: NDArray[np.float32]) -> Image:
    """Take a picture of an encoded scene [H, W, 3] for one observation; display values in [0, 1]."""

    def latent(name: str) -> float:
        return float(faces.how(observation, name))

    light: NDArray[Any] = decode(encoded)
    height, width = light.shape[:2]
    scale = max(height, width) / 128
    coarser = float(np.clip(1 - 0.16 * max(0.0, latent("resolution") - 0.3), 0.35, 1.0))
    if coarser < 0.995:
        size = (max(24, round(width * coarser)), max(24, round(height * coarser)))
        light = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    soft = 0.34 * min(max(0.0, latent("blur")), 4.0) + 0.14 * min(abs(latent("blur")), 1.0)
    if soft > 0.02:
        wide = max(0.05, soft * scale * coarser)
        light = cv2.GaussianBlur(light, (2 * int(3 * wide + 1) + 1,) * 2, wide, borderType=cv2.BORDER_REFLECT)
    gain = float(np.exp(faces.bounded(latent("exposure"), 0.16, 0.5)))
    shift = float(faces.bounded(latent("white_balance"), 0.030, 0.09))
    light = light * (gain * np.array([1 + shift, 1.0, 1 - shift], np.float32))
    # Hardly seen in most pictures, plain in few: people photograph where there is light.
    noisy = 0.0004 * min(abs(latent("noise")), 1.0) + 0.0008 * min(max(0.0, latent("noise") - 0.2), 2.8) ** 2
    if noisy > 0:
        light = np.maximum(light + _noise(light, observation, noisy), 0)
    edges = 0.14 * min(abs(latent("sharpening")), 1.0) + 0.22 * max(0.0, latent("sharpening"))
    if edges > 0:
        light = np.maximum(
            light + edges * (light - cv2.GaussianBlur(light, (0, 0), 1.0 * scale, borderType=cv2.BORDER_REFLECT)), 0
        )
    picture = tone(light)
    if picture.shape[:2] != (height, width):
        picture = np.clip(cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    quality = 96 - 5 * min(abs(latent("compression")), 1.0) - 12 * max(0.0, latent("compression"))
    return _compressed(picture, max(quality, 30)) if quality < 95.99 else picture


def _noise(light: Image, observation: NDArray[np.float32], amount: float) -> Image:
    """Shot and read noise, a little of it shared by neighbours, [H, W, 3]."""
    key = hashlib.sha256(np.ascontiguousarray(observation, "<f4").tobytes()).digest()
    rng = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))
    grain = rng.standard_normal(light.shape, np.float32)
    grey = rng.standard_normal(light.shape[:2], np.float32)[..., None]
    grain = cv2.GaussianBlur(0.75 * grain + 0.75 * grey, (0, 0), 0.55) * 1.7
    return np.asarray(grain * np.sqrt(np.maximum(light, 0) * amount**1.0 * 0.28 + (2.2 * amount) ** 2), np.float32)


def _compressed(picture: Image, quality: float) -> Image:
    """What JPEG leaves of a picture at a quality from 30 to 100: the transform and its rounding, no entropy coding.

    Written out here so that pixels do not depend on a library's version.
    """
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge").astype(np.float64) * 255
    planes = padded @ _TO_YCC.T
    scale = (200 - 2 * quality if quality >= 50 else 5000 / quality) / 100
    luma = _rounded(planes[..., 0] - 128, np.clip(np.floor(_LUMA * scale + 0.5), 1, 255)) + 128
    rows, columns = luma.shape
    chroma = planes[..., 1:].reshape(rows // 2, 2, columns // 2, 2, 2).mean((1, 3))
    table = np.clip(np.floor(_CHROMA * scale + 0.5), 1, 255)
    fewer = np.stack([_rounded(np.ascontiguousarray(chroma[..., k]), table) for k in range(2)], -1)
    wide = cv2.resize(fewer, (columns, rows), interpolation=cv2.INTER_LINEAR)
    whole = np.concatenate([luma[..., None], wide], 2) @ np.linalg.inv(_TO_YCC).T
    return np.asarray(np.clip(whole[:height, :width] / 255, 0, 1), np.float32)


def _rounded(plane: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = (-plane.shape[0] % 8, -plane.shape[1] % 8)
    whole = np.pad(plane, ((0, rows), (0, columns)), mode="edge")
    blocks = whole.reshape(whole.shape[0] // 8, 8, whole.shape[1] // 8, 8).swapaxes(1, 2)
    waves = np.rint(_DCT @ blocks @ _DCT.T / table) * table
    back = (_DCT.T @ waves @ _DCT).swapaxes(1, 2).reshape(whole.shape)
    return np.asarray(back[: plane.shape[0], : plane.shape[1]])
