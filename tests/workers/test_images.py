"""Pixels, files and what they say of themselves."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from app.errors import Corrupt
from workers import images
from workers.images import Mark

MARK = Mark(
    dataset="ds_1",
    sample="S0000001_0002",
    model="sdgan 1.0 <&>",
    model_digest="ab" * 32,
    source_type="trainedAlgorithmicMedia",
)
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)


def test_every_level_survives_the_way_through_floats() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert (images.to_pixels(images.to_floats(levels)) == levels).all()


def test_floats_beyond_the_range_are_clipped_and_the_middle_rounds() -> None:
    given = np.array([-3.0, -1.0, 0.0, 1.0, 3.0], np.float32)
    assert images.to_pixels(given).tolist() == [0, 0, 128, 255, 255]


def test_a_png_holds_exactly_its_pixels(pixels: np.ndarray) -> None:
    assert (images.decode(images.encode(pixels, MARK, quality=None)) == pixels).all()


def test_the_same_pixels_and_mark_give_the_same_bytes(pixels: np.ndarray) -> None:
    for quality in (None, 90):
        assert images.encode(pixels, MARK, quality=quality) == images.encode(pixels, MARK, quality=quality)


@pytest.mark.parametrize("quality", [None, 90])
def test_every_file_says_that_it_is_synthetic(pixels: np.ndarray, quality: int | None) -> None:
    found = images.read_mark(images.encode(pixels, MARK, quality=quality))
    assert f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"' in found["xmp"]
    assert 'facsimile:Sample="S0000001_0002"' in found["xmp"]
    assert 'facsimile:Model="sdgan 1.0 &lt;&amp;&gt;"' in found["xmp"]
    assert found["exif_software"] == "Facsimile"
    for part in ("ds_1", "S0000001_0002", "ab" * 32):
        assert part in found["exif_description"]
    if quality is None:
        assert found["DigitalSourceType"] == SOURCE_TYPE


def test_pillow_reads_the_xmp_as_xmp(pixels: np.ndarray) -> None:
    pytest.importorskip("defusedxml", reason="Pillow parses XMP with defusedxml")
    for quality in (None, 90):
        with Image.open(io.BytesIO(images.encode(pixels, MARK, quality=quality))) as image:
            described = image.getxmp()["xmpmeta"]["RDF"]["Description"]
        assert described["DigitalSourceType"] == SOURCE_TYPE


def test_the_pixel_digest_is_of_pixels_not_of_files() -> None:
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    # printf '2x1 RGB8\n\1\2\3\4\5\6' | sha256sum
    expected = "7b16d7e5fec73438d870e9734ca1d218986cf7735cf6f8a552330e018667005b"
    digest = images.pixel_sha256(pixels)
    assert digest == expected
    assert digest == images.pixel_sha256(images.decode(images.encode(pixels, MARK, quality=None)))
    assert digest != images.pixel_sha256(pixels.reshape(2, 1, 3))


def test_what_is_no_image_is_named() -> None:
    whole = images.encode(np.zeros((8, 8, 3), np.uint8), MARK, quality=None)
    for data in (b"", b"GIF89a", whole[: len(whole) // 2]):
        with pytest.raises(Corrupt, match="S7 is not a readable image"):
            images.decode(data, "S7")


def test_a_contact_sheet_has_a_row_a_subject_and_leaves_what_is_missing_grey() -> None:
    red, blue = (np.full((10, 10, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    sheet = images.contact_sheet([[red, blue], [None, red]], 10)
    assert sheet.shape == (20, 20, 3)
    assert (sheet[:10, :10] == (255, 0, 0)).all()
    assert (sheet[:10, 10:] == (0, 0, 255)).all()
    assert (sheet[10:, :10] == 128).all()


def test_a_contact_sheet_keeps_proportions() -> None:
    tall = np.full((600, 480, 3), 9, np.uint8)
    sheet = images.contact_sheet([[tall]], 60)
    assert (sheet[:, 6:54] == 9).all()
    assert (sheet[:, :6] == 128).all()


@pytest.mark.parametrize("quality", [None, 90])
def test_a_model_that_learned_nothing_is_called_an_algorithm(pixels: np.ndarray, quality: int | None) -> None:
    mark = replace(MARK, source_type="algorithmicMedia")
    found = images.read_mark(images.encode(pixels, mark, quality=quality))
    assert 'DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia"' in found["xmp"]
    sheet = images.read_mark(images.encode_sheet(pixels, "algorithmicMedia"))
    assert sheet["DigitalSourceType"].endswith("/algorithmicMedia")
