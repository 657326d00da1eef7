"""Boundaries: the published conditional ones come out of the plain ones, and files that hold none are refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from workers.generator.editing.boundaries import at_distance, check_boundary, gram, orthogonal_to, read_boundary
from workers.generator.reading.refusals import FileRefused


def unit(*values: float) -> np.ndarray:
    made = np.asarray(values, np.float64)
    return made / np.linalg.norm(made)


def test_published_conditional_boundaries_are_projections(fixtures: Path) -> None:
    """To 1e-12, conditional on one attribute and on two."""
    folder, seen = fixtures / "boundaries", 0
    for path in sorted(folder.glob("*_c_*_boundary.npy")):
        match = re.fullmatch(r"pggan_celebahq_(\w+?)_c_(\w+)_boundary", path.stem)
        assert match is not None
        names = (match[1], *match[2].split("_"))
        plain = [check_boundary(np.load(folder / f"pggan_celebahq_{name}_boundary.npy"), 512) for name in names]
        made = orthogonal_to(plain[0], plain[1:])
        np.testing.assert_allclose(made, np.load(path)[0], rtol=0, atol=1e-12)
        seen += 1
    assert seen == 9


def test_a_projection_holds_the_others_still() -> None:
    rng = np.random.default_rng(3)
    others = [unit(*rng.standard_normal(20)) for _ in range(3)]
    normal = unit(*rng.standard_normal(20))
    made = orthogonal_to(normal, others)
    np.testing.assert_allclose([made @ other for other in others], 0, atol=1e-12)
    assert np.linalg.norm(made) == pytest.approx(1)
    assert made @ normal > 0
    with pytest.raises(ValueError, match="span"):
        orthogonal_to(unit(*(others[0] + others[1])), others)
    with pytest.raises(ValueError, match="depend"):
        gram(np.stack([others[0], others[0]]))


def test_signed_distances_are_met_at_once() -> None:
    rng = np.random.default_rng(4)
    normals = np.stack([unit(*rng.standard_normal(12)) for _ in range(3)])
    points, wanted = rng.standard_normal((5, 12)), rng.standard_normal((5, 3))
    moved = at_distance(points, normals, wanted)
    np.testing.assert_allclose(moved @ normals.T, wanted, atol=1e-12)
    one = at_distance(points, normals[:1], wanted[:, :1])
    np.testing.assert_allclose(one, points + (wanted[:, :1] - points @ normals[:1].T) * normals[0], atol=1e-12)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((7, 3)), r"boundary has shape \(7, 3\), expected \(1, d\)"),
        (np.zeros(4), "shape"),
        (np.zeros((1, 4)), r"no direction \(norm 0\)"),
        (np.array([[np.nan, 1.0]]), r"not finite \(1\)"),
        (np.full((1, 4), 2.0), "norm 4, expected 1"),
        (np.eye(1, 5), "boundary has 5 dimensions; this model's W has 4"),
    ],
)
def test_what_is_no_boundary_is_refused(values: np.ndarray, words: str) -> None:
    with pytest.raises(FileRefused, match=words):
        check_boundary(values, 4, "W")


def test_a_header_is_held_against_the_file_before_anything_is_allocated(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(1, 8))
    assert read_boundary(tmp_path / "a.npy", 8).shape == (8,)
    data = (tmp_path / "a.npy").read_bytes().replace(b"(1, 8), ", b"(1, 9999999999), ", 1)
    (tmp_path / "b.npy").write_bytes(data)
    with pytest.raises(FileRefused, match=r"bytes of data|header"):
        read_boundary(tmp_path / "b.npy")
