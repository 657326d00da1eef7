"""Capacity: on directions that are uniform the geometry is known."""

from collections.abc import Callable

import numpy as np
import pytest

from workers.biometrics import capacity
from workers.biometrics.bootstrap import Bootstrap
from workers.biometrics.capacity import estimate_capacity
from workers.biometrics.errors import Unresolvable
from workers.biometrics.templates import TemplateTable

HOW = Bootstrap(replicates=100)


def uniform(count: int, dimensions: int, common: float = 0.0, seed: int = 0) -> TemplateTable:
    """Directions √m·u + √(1 − m)·v with v uniform in the dimensions orthogonal to u."""
    rng = np.random.default_rng(seed)
    free = rng.normal(size=(count, dimensions))
    free /= np.linalg.norm(free, axis=1, keepdims=True)
    templates = np.concatenate([np.full((count, 1), np.sqrt(common)), np.sqrt(1 - common) * free], 1)
    return TemplateTable(templates=templates.astype(np.float32), subjects=np.arange(count))


@pytest.mark.parametrize(("dimensions", "common"), [(16, 0.0), (16, 0.3), (40, 0.1)])
def test_geometry_is_recovered(dimensions: int, common: float) -> None:
    found = estimate_capacity(uniform(2_000, dimensions, common), 0.55, bootstrap=HOW)
    assert found.common_cosine == pytest.approx(common, abs=0.01)
    assert found.dimensions == pytest.approx(dimensions, rel=0.05)
    if found.matches > 1_000:
        assert found.model_match_rate == pytest.approx(found.match_rate, rel=0.15)


def test_numbers_follow_from_the_match_rate() -> None:
    found = estimate_capacity(uniform(1_000, 8), 0.7, bootstrap=HOW)
    rate = found.match_rate
    assert found.resolved
    assert found.without_filtering * (found.without_filtering - 1) / 2 * rate == pytest.approx(1)
    assert (1 - rate) ** found.with_filtering == pytest.approx(0.5)
    assert found.without_filtering_range[0] < found.without_filtering < found.without_filtering_range[1]
    assert rate in found.match_rate_interval


def test_half_of_all_draws_are_refused_at_the_number_given() -> None:
    found = estimate_capacity(uniform(1_500, 8), 0.7, bootstrap=HOW)
    # Keep draws that match none before, until so many are kept; then see how many new ones would be refused.
    table = uniform(6_000, 8, seed=5).templates
    kept: list[np.ndarray] = []
    for template in table[:4_000]:
        if len(kept) < round(found.with_filtering) and (not kept or max(np.stack(kept) @ template) < 0.7):
            kept.append(template)
    refused = np.mean((table[4_000:] @ np.stack(kept).T).max(1) >= 0.7)
    # Those kept keep off each other, so they block somewhat more than independent ones: more than half.
    assert 0.5 <= refused <= 0.75


def test_packing_of_the_plane_and_of_space() -> None:
    # In the plane caps of half of 60° take 60 of 360 degrees: six. On the sphere of space a cap within 30° is
    # (1 − cos 30°) / 2 of it: 14.93.
    assert capacity._packing(0.5, 0.0, 2) == pytest.approx(6)
    assert capacity._packing(0.5, 0.0, 3) == pytest.approx(2 / (1 - np.cos(np.pi / 6)))
    assert capacity._cap(0.0, 7) == 0.5
    assert capacity._packing(-0.99, 0.5, 7) == 1.0


def test_no_match_gives_bounds_only() -> None:
    found = estimate_capacity(uniform(100, 60), 0.95, bootstrap=HOW)
    assert (found.matches, found.resolved, found.without_filtering) == (0, False, np.inf)
    assert found.without_filtering_range[0] > 1
    assert found.without_filtering_range[1] == np.inf


def test_linearised_interval_agrees_with_the_listed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    table = uniform(400, 8)
    listed = estimate_capacity(table, 0.3).match_rate_interval
    monkeypatch.setattr(capacity, "LISTED", 10)
    linear = estimate_capacity(table, 0.3).match_rate_interval
    assert (linear.low, linear.high) == pytest.approx((listed.low, listed.high), rel=0.03)


def test_what_says_nothing_is_refused(table: Callable[..., TemplateTable]) -> None:
    with pytest.raises(Unresolvable, match="29 identities"):
        estimate_capacity(table(29, 1), 0.5)
    with pytest.raises(Unresolvable, match="one template an identity"):
        estimate_capacity(table(40, 2), 0.5)
    with pytest.raises(ValueError, match="cosine threshold"):
        estimate_capacity(table(40, 1), 1.0)
