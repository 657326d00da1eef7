"""Uniqueness, consistency, nearest neighbours."""

from collections.abc import Callable

import numpy as np
import pytest

from app.errors import Cancelled
from workers.biometrics.errors import Unresolvable
from workers.biometrics.templates import TemplateTable, nearest
from workers.biometrics.uniqueness import centres, consistency, uniqueness

MakeTable = Callable[..., TemplateTable]


def at(*degrees: float) -> np.ndarray:
    """Directions in the plane, float32 [N, 2]."""
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)


def test_u_class_by_hand() -> None:
    # Directions 0°, 10°, 90°, 180°. cos 10° = .985: the first two are each other's nearest; 90° is nearest to 10°
    # (cos 80° = .174), 180° to 90° (cos 90° = 0).
    found = uniqueness(TemplateTable(templates=at(0, 10, 90, 180), subjects=np.arange(4)), 0.5)
    assert (found.u_class, found.unique, found.identities) == (0.5, 2, 4)
    assert found.nearest_subjects.tolist() == [1, 0, 1, 2]
    assert found.nearest_scores == pytest.approx([0.98481, 0.98481, 0.17365, 0.0], abs=1e-5)


def test_a_score_at_the_threshold_is_a_match() -> None:
    same = TemplateTable(templates=np.eye(2, dtype=np.float32), subjects=np.arange(2))
    assert uniqueness(same, 0.0).unique == 0
    assert uniqueness(same, 1e-9).unique == 2


def test_several_samples_go_into_a_centre_and_missing_ones_are_counted() -> None:
    templates = np.concatenate([at(0, 20, 90, 90), np.full((1, 2), np.nan, np.float32)])
    found = uniqueness(TemplateTable(templates=templates, subjects=np.array([3, 3, 5, 5, 7])), 0.5)
    # Centres at 10° and 90°: cos 80°.
    assert found.nearest_scores == pytest.approx([0.17365, 0.17365], abs=1e-5)
    assert found.subjects.tolist() == [3, 5]
    assert (found.identities, found.without_template) == (2, 1)


def test_c_intra_by_hand() -> None:
    # Subject 0 at −10°, 0°, 10°, 40°; their mean direction is 9.9°: cosines .940, .985, 1, .866 … of threshold .9
    # three reach. Subject 1 twice at 90°: both. Mean over subjects (3/4 + 1) / 2. Subject 2 has one sample.
    table = TemplateTable(templates=at(-10, 0, 10, 40, 90, 90, 180), subjects=np.array([0, 0, 0, 0, 1, 1, 2]))
    found = consistency(table, 0.9)
    assert found.c_intra == pytest.approx(0.875)
    assert (found.subjects, found.left_out, found.samples) == (2, 1, 6)
    assert found.c_intra in found.by_subject


def test_consistency_falls_as_samples_spread(table: MakeTable) -> None:
    shares = [consistency(table(50, 5, spread=spread), 0.7).c_intra for spread in (0.2, 0.8, 1.6)]
    assert shares[0] == 1
    # All 50 alike: 1 − 0.025^(1/50) might still differ.
    assert consistency(table(50, 5, spread=0.2), 0.7).by_subject.low == pytest.approx(0.025 ** (1 / 50))
    assert shares[0] >= shares[1] > shares[2]


def test_too_few_identities_are_refused(table: MakeTable) -> None:
    with pytest.raises(Unresolvable, match="at least 2"):
        uniqueness(table(1, 3), 0.5)


def test_euclidean_centres_are_means() -> None:
    table = TemplateTable(templates=np.array([[0, 0], [2, 4]], np.float32), subjects=np.zeros(2, np.int64))
    assert centres(table, "euclidean").templates.tolist() == [[1, 2]]


def test_nearest_in_blocks_is_nearest_at_once(table: MakeTable) -> None:
    queries, held = table(20, 3, seed=1), table(25, 2, seed=2)
    queries.templates[4] = np.nan
    held.templates[[0, 49]] = np.nan
    for other in (True, False):
        whole = nearest(queries, held, other_subjects=other)
        parts = nearest(queries, held, other_subjects=other, block=3)
        assert np.array_equal(whole.rows, parts.rows)
        assert np.allclose(whole.scores, parts.scores, equal_nan=True, atol=1e-6)
        assert (whole.rows[4], np.isnan(whole.scores[4])) == (-1, True)
        assert not np.isin(whole.rows, [0, 49]).any()
    assert (held.subjects[nearest(queries, held).rows] != queries.subjects)[whole.rows >= 0].all()


def test_nothing_to_compare_with_is_minus_infinity(table: MakeTable) -> None:
    alone = nearest(table(1, 2), table(1, 2))
    assert np.isneginf(alone.scores).all()
    assert (alone.rows == -1).all()


def test_a_search_can_be_called_off(table: MakeTable) -> None:
    with pytest.raises(Cancelled):
        nearest(table(2, 1), table(2, 1), should_cancel=lambda: True)
