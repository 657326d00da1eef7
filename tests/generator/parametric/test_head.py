"""The parts of a drawn head: the skin as a subdivision surface, hair combed on the skull, and shadows."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.generator import latents as lt
from workers.generator.parametric.hair import CUTS, groom, load_scalp
from workers.generator.parametric.regions import load_regions
from workers.generator.parametric.scatter import scatter
from workers.generator.parametric.subdivision import subdivide

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
CUBE_FACES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def test_a_cube_is_subdivided_as_catmull_and_clark_say() -> None:
    surface = subdivide(CUBE_FACES, 8)
    points = surface.refine(CUBE)
    assert points.shape == (8 + 12 + 6, 3)
    assert surface.faces.shape == (24, 4)
    # By hand: a corner goes to (3 faces' mean + 2 edges' mean) / 3, an edge to the mean of its ends and faces.
    assert np.abs(points[:8]) == pytest.approx(np.full((8, 3), 5 / 9))
    assert np.sort(np.abs(points[8:20]), 1) == pytest.approx(np.tile([0, 0.75, 0.75], (12, 1)))
    assert np.sort(np.abs(points[20:]), 1) == pytest.approx(np.tile([0, 0, 1.0], (6, 1)))


def test_an_open_border_stays_a_curve_of_its_own_edges() -> None:
    points = np.array([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]], np.float32)
    surface = subdivide(np.array([[0, 1, 4, 3], [1, 2, 5, 4]]), 6)
    assert surface.only(np.array([1, 0]), points) == pytest.approx(np.array([[1, 0], [0.125, 0.125]]))


def test_vertices_that_no_face_uses_are_left_out_and_asking_for_them_fails() -> None:
    surface = subdivide(CUBE_FACES + 3, 12)
    assert len(surface.refine(np.zeros((12, 3)))) == 26
    with pytest.raises(ValueError, match="not on the surface"):
        surface.only(np.array([2]), np.zeros((12, 3)))


def test_points_are_scattered_by_area_and_move_with_the_mesh() -> None:
    vertices = np.array([[0, 0, 0], [3, 0, 0], [3, 1, 0], [0, 1, 0], [4, 0, 0], [4, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2, 3], [1, 4, 5, 2]])  # three times as large as the other
    places = scatter(vertices, faces, 4_000, np.random.default_rng(1))
    points = places.at(vertices)
    assert (points[:, 0] < 3).mean() == pytest.approx(0.75, abs=0.03)
    assert points[:, 1].mean() == pytest.approx(0.5, abs=0.02)
    assert places.at(vertices + 2) == pytest.approx(points + 2)
    assert places.first(7).at(vertices) == pytest.approx(points[:7])
    only = scatter(vertices, faces, 100, np.random.default_rng(1), np.array([0.0, 1.0])).at(vertices)
    assert only[:, 0].min() >= 3


@pytest.mark.parametrize("style", list(CUTS))
def test_every_style_covers_the_skull_and_leaves_the_face_free(style: str) -> None:
    skin = load_regions().skin
    combed = groom(load_scalp(skin), style)
    assert len(combed.luck) > 0.9 * CUTS[style].strands
    assert combed.weights.sum(2) == pytest.approx(np.ones(combed.weights.shape[:2]), abs=1e-5)
    assert combed.weights.min() > -1e-4
    kept = np.ones(len(combed.luck), bool)
    points, _ = combed.on(skin.vertices, np.tile(np.float32([0, 1, 0]), (len(skin.vertices), 1)), 0.0, kept)
    x, y, z = points.reshape(-1, 3).T
    in_the_face = (np.abs(x) < 0.5) & (y < 7.45) & (z > 0.9)
    assert in_the_face.mean() < 0.002
    crown = points[:, 0][(np.abs(combed.azimuth) > 90) & (combed.elevation > 60)]
    assert len(crown) > 50


def test_hair_is_the_same_whenever_it_is_combed() -> None:
    scalp = load_scalp(load_regions().skin)
    first, again = (groom.__wrapped__(scalp, "parted") for _ in range(2))
    assert (first.corners == again.corners).all()
    assert (first.height == again.height).all()


def test_light_from_the_side_throws_the_noses_shadow_to_the_other_side(renderer: Any) -> None:
    who, how = np.zeros((1, lt.IDENTITY), np.float32), np.zeros((2, lt.OBSERVATION), np.float32)
    how[:, lt.CURRENT.dimensions["key_azimuth"]] = [1.6, -1.6]
    how[:, lt.CURRENT.dimensions["key_strength"]] = 2.0
    how[:, lt.CURRENT.dimensions["key_wrap"]] = -2.0
    from_left, from_right = renderer.generate(np.repeat(who, 2, 0), how, 128, 128).mean(3)
    cheeks = np.s_[60:85]
    lighter, darker = from_left[cheeks, 70:90].mean(), from_left[cheeks, 38:58].mean()
    assert lighter > darker + 0.2
    assert from_right[cheeks, 38:58].mean() > from_right[cheeks, 70:90].mean() + 0.2


def test_no_thread_of_mesas_draws_beside_us(renderer: Any) -> None:
    """Mesa's own threads have freed what they still held: a worker died of it once in hours."""
    if os.environ.get("LP_NUM_THREADS") != "0":
        pytest.skip("LP_NUM_THREADS was set by whoever runs the tests")
    renderer.generate(np.zeros((1, lt.IDENTITY), np.float32), np.zeros((1, lt.OBSERVATION), np.float32), 64, 64)
    names = {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}
    assert not {name for name in names if name.startswith("llvmpipe")}
