"""PNG files as Pillow and OpenCV read them."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from workers.png import write_png


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from(["noise", "flat", "ramp"]))
@settings(max_examples=60, deadline=None)
def test_two_readers_find_the_pixels_that_were_written(height: int, width: int, seed: int, kind: str) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    if kind == "flat":
        pixels[:] = seed % 256
    if kind == "ramp":
        pixels[:] = (np.arange(height * width * 3) * 7 % 256).astype(np.uint8).reshape(pixels.shape)
    data = write_png(pixels, {})
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), pixels)
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], pixels)


def test_pixels_that_are_a_view_are_written_as_they_are_seen() -> None:
    whole = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    for view in (whole[::2, 3:], whole[:, ::-1], whole.transpose(1, 0, 2), whole[..., ::-1]):
        with Image.open(io.BytesIO(write_png(view, {}))) as image:
            assert np.array_equal(np.asarray(image), view)


@pytest.mark.parametrize("text", ["plain", "Größe 5", "人の顔", "<x:xmpmeta/>", ""])
def test_texts_come_back(text: str) -> None:
    with Image.open(io.BytesIO(write_png(np.zeros((2, 2, 3), np.uint8), {"Keyword": text}))) as image:
        image.load()
        assert image.info["Keyword"] == text


@pytest.mark.parametrize("prefix", [b"", b"Exif\x00\x00"])
def test_exif_comes_back(prefix: bytes) -> None:
    exif = Image.Exif()
    exif[0x0131] = "somebody"
    data = write_png(np.zeros((2, 2, 3), np.uint8), {}, prefix + exif.tobytes().removeprefix(b"Exif\x00\x00"))
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[0x0131] == "somebody"


def test_a_file_is_no_larger_than_a_quarter_more_than_pillows_best() -> None:
    rows, columns = np.mgrid[:128, :128]
    smooth = (
        128 + 60 * np.sin(rows / 20) + 40 * np.cos(columns / 15) + np.random.default_rng(0).normal(0, 1, (128, 128))
    )
    pixels = np.repeat(smooth.clip(0, 255).astype(np.uint8)[..., None], 3, 2)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=6)
    assert len(write_png(pixels, {})) < 1.25 * out.tell()
