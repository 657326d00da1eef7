"""Generators in seven code bases' own file formats: every one is read, and one network comes out of two forms alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.generator.reading.contents import Contents, read_contents


def read(path: Path, wanted: str | None = None) -> Contents:
    return read_contents(memoryview(path.read_bytes()), wanted)


def same(one: Contents, other: Contents) -> None:
    assert set(one.tensors) == set(other.tensors)
    for name, values in one.tensors.items():
        np.testing.assert_array_equal(values, other.tensors[name])


@pytest.mark.parametrize(
    ("name", "label", "tensors", "numbers"),
    [
        ("stylegan2-ada.pkl", "G_ema", 75, 86_115),
        ("stylegan2-ada-conditional.pkl", "G_ema", 77, 90_595),
        ("stylegan3-t.pkl", "G_ema", 58, 63_913),
        ("stylegan3-r.pkl", "G_ema", 58, 56_847),
        ("stylegan2-rosinality.pt", "g_ema", 69, None),
        ("progan.pth", "generator_smooth", 25, 41_844),
        ("progan-fused-tf.pkl", "Gs", 25, 41_844),
        ("progan-gan-zoo.pt", "avgG", 24, 20_080),
        ("stylegan1.pth", "generator_smooth", 65, None),
        ("stylegan1-128.pth", "generator_smooth", 95, None),
        ("stylegan1-tf.pkl", "Gs", 63, None),
        ("stylegan2-tf.pkl", "Gs", 65, None),
    ],
)
def test_every_number_of_a_generator_is_found(
    fixtures: Path, name: str, label: str, tensors: int, numbers: int | None
) -> None:
    found = read(fixtures / name)
    assert (found.label, len(found.tensors)) == (label, tensors)
    if numbers:
        assert sum(values.size for name, values in found.tensors.items() if name != "lod") == numbers


def test_one_network_in_several_forms_is_one_network(fixtures: Path) -> None:
    same(read(fixtures / "stylegan2-ada.pkl"), read(fixtures / "stylegan2-ada-numpy1.pkl"))
    same(read(fixtures / "progan.pth"), read(fixtures / "progan-legacy.pth"))
    same(read(fixtures / "progan-tf.pkl"), read(fixtures / "progan-tf-python3.pkl"))
    same(read(fixtures / "stylegan2-rosinality-converted.pt"), read(fixtures / "stylegan2-rosinality-legacy.pt"))


def test_torch_itself_finds_the_same(fixtures: Path) -> None:
    torch = pytest.importorskip("torch")
    for name, label in (
        ("progan.pth", "generator_smooth"),
        ("stylegan1.pth", "generator"),
        ("progan-legacy.pth", None),
    ):
        theirs: dict[str, Any] = torch.load(fixtures / name, weights_only=True)[label or "generator_smooth"]
        ours = read(fixtures / name, label).tensors
        assert list(ours) == list(theirs)
        for key, values in ours.items():
            np.testing.assert_array_equal(values, theirs[key].numpy())
