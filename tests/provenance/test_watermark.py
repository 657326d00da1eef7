"""The watermark on images like those that it is for: smooth shapes, edges, noise. Found after JPEG, else never."""

import hashlib
import io
import statistics

import numpy as np
import pytest
from PIL import Image

from workers.provenance.watermark import THRESHOLD, TooSmall, _chips, detect, embed, key_id

KEY = "k" * 20


def face_like(seed: int, side: int = 128) -> np.ndarray:
    """A shaded ellipse with darker spots before a gradient, a little noise on all."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    image = np.stack([120 + 60 * random.uniform(-1, 1) * x + 40 * y for _ in range(3)], -1)
    inside = (x / 0.3) ** 2 + (y / 0.4) ** 2 < 1
    shade = 200 - 90 * (x * random.uniform(-1, 1) + y * random.uniform(-1, 1) + 0.5)
    image[inside] = (shade[..., None] * np.array([1, 0.8, 0.7]))[inside]
    for dx, dy in ((-0.12, -0.1), (0.12, -0.1), (0, 0.2)):
        image[((x - dx) / 0.05) ** 2 + ((y - dy) / 0.025) ** 2 < 1] *= 0.4
    return np.clip(image + random.normal(0, 1.5, image.shape), 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return np.array(Image.open(out).convert("RGB"))


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [face_like(seed) for seed in range(20)]


def test_it_is_found_after_jpeg_of_quality_75(images: list[np.ndarray]) -> None:
    assert all(detect(jpeg(embed(image, KEY), 75), KEY) >= THRESHOLD for image in images)


def test_it_is_imperceptible(images: list[np.ndarray]) -> None:
    for image in images:
        error = np.mean((image.astype(float) - embed(image, KEY)) ** 2)
        assert 10 * np.log10(255**2 / error) > 40


def test_without_it_z_is_standard_normal_over_thousands_of_keys(images: list[np.ndarray]) -> None:
    marked = [embed(image, KEY) for image in images]
    for some in (images, marked):
        z = [detect(image, f"other key {n}") for image in some for n in range(150)]
        assert abs(statistics.mean(z)) < 0.1
        assert 0.9 < statistics.stdev(z) < 1.1
        assert max(z) < THRESHOLD


def test_the_same_key_gives_the_same_pixels_another_one_others(images: list[np.ndarray]) -> None:
    once, again, other = embed(images[0], KEY), embed(images[0], KEY), embed(images[0], "other")
    assert (once == again).all()
    assert (once != other).any()
    assert images[0].dtype == once.dtype == np.uint8


def test_edges_that_fill_no_block_stay_as_they_are() -> None:
    image = face_like(3)[:61, :90]
    marked = embed(image, KEY)
    assert (marked[56:] == image[56:]).all()
    assert (marked[:, 88:] == image[:, 88:]).all()
    assert (marked[:56, :88] != image[:56, :88]).any()


def test_an_image_without_a_block_is_refused() -> None:
    with pytest.raises(TooSmall, match="7×20"):
        embed(np.zeros((20, 7, 3), np.uint8), KEY)


def test_the_chips_are_pinned_for_ever() -> None:
    """A set made today must be found by any later version: these numbers may not change."""
    assert key_id("facsimile") == "36eb3396379efe5f"
    signs = _chips(8, 16, "facsimile").astype("i1").tobytes()
    assert hashlib.sha256(signs).hexdigest() == "1ecaf159286e52e675dbf0750b728cd83bdd94b40ef762ad1c1268228c20ab80"


def test_cropping_on_the_right_and_below_leaves_it(images: list[np.ndarray]) -> None:
    assert all(detect(embed(image, KEY)[:-21, :-10], KEY) >= THRESHOLD for image in images)


def test_it_is_as_wide_as_the_largest_image() -> None:
    wide = np.full((16, 4096, 3), 128, np.uint8)
    marked = embed(wide, KEY)
    assert detect(marked[:, -512:], KEY) < THRESHOLD < detect(marked, KEY)
