"""Directions by numbers: a plane that was put there is found, and so is what moves the picture and not the template."""

import numpy as np
import pytest

from workers.generator.editing.fitting import fit_boundary, least_templates


def test_a_boundary_that_is_there_is_found() -> None:
    rng = np.random.default_rng(1)
    normal = rng.standard_normal(30)
    normal /= np.linalg.norm(normal)
    points = rng.standard_normal((800, 30)) + 0.5
    scores = points @ normal + 0.3 * rng.standard_normal(800)
    found = fit_boundary(points, scores)
    assert found is not None
    assert found.normal @ normal > 0.97
    assert found.accuracy > 0.95
    assert found.correlation > 0.85
    assert found.middle == pytest.approx(np.median(points @ found.normal), abs=0.3)
    assert found.deviation == pytest.approx(1, abs=0.15)


def test_scores_that_say_nothing_part_nothing() -> None:
    rng = np.random.default_rng(2)
    points = rng.standard_normal((600, 30))
    by_chance = fit_boundary(points, rng.standard_normal(600))
    assert by_chance is not None
    assert by_chance.accuracy < 0.7
    assert fit_boundary(points, np.ones(600)) is None
    assert fit_boundary(points[:50], points[:50, 0]) is None
    assert fit_boundary(points[:0], np.zeros(0)) is None


def test_directions_of_the_picture_alone_come_first() -> None:
    """Five axes: two move the template too, one moves nothing, two move the picture only, one of them twice as far."""
    rng = np.random.default_rng(3)
    axes = np.linalg.qr(rng.standard_normal((9, 9)))[0][:5]
    images, templates = np.zeros((20, 5, 6)), np.zeros((20, 5, 4))
    for base in range(20):
        for axis, (picture, person) in enumerate(((1, 1), (1, 0.8), (0, 0), (1, 0), (2, 0))):
            images[base, axis, axis] = picture
            templates[base, axis, axis % 4] = person
    normals, ratios = least_templates(axes, images, templates, 2)
    assert abs(normals[0] @ axes[4]) > 0.999
    assert abs(normals[1] @ axes[3]) > 0.999
    assert ratios[0] > ratios[1] > 10
