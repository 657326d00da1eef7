"""Both networks: they tell identities apart, say the same of an image in every company, and score symmetrically."""

from typing import Any

import numpy as np
import pytest

from workers.images import Pixels
from workers.matchers.base import Matcher, Role
from workers.matchers.comparison import COSINE, MINUS_EUCLIDEAN
from workers.matchers.extraction import compare_pairs, compare_tables, extract_many, extract_one
from workers.matchers.sface import SFace, compare, load_sface

Pairs = tuple[list[Pixels], list[Pixels]]


def equal_error_rate(mated: np.ndarray, non_mated: np.ndarray) -> float:
    """Where FMR and FNMR are closest, their mean; match iff score >= threshold."""
    thresholds = np.unique(np.concatenate([mated, non_mated]))
    fnmr = np.searchsorted(np.sort(mated), thresholds, "left") / len(mated)
    fmr = 1 - np.searchsorted(np.sort(non_mated), thresholds, "left") / len(non_mated)
    nearest = np.argmin(np.abs(fmr - fnmr))
    return float((fmr[nearest] + fnmr[nearest]) / 2)


def test_it_says_what_it_is(matcher: Matcher) -> None:
    assert isinstance(matcher, Matcher)
    assert matcher.dimensions == 128
    assert len(matcher.digest) == 64
    assert "web" in matcher.provenance
    assert matcher.score in (COSINE, MINUS_EUCLIDEAN)


def test_mated_scores_are_above_non_mated_ones(matcher: Matcher, pairs: Pairs) -> None:
    references = extract_many(matcher, pairs[0], Role.REFERENCE)
    probes = extract_many(matcher, pairs[1], Role.PROBE)
    scores = compare_tables(matcher, references, probes)
    both = references.extracted & probes.extracted
    assert both.sum() >= 11
    mated = np.diag(scores)[both]
    non_mated = scores[both][:, both][~np.eye(both.sum(), dtype=bool)]
    assert np.median(mated) > np.quantile(non_mated, 0.95)
    assert np.median(mated) > np.median(non_mated)


def test_a_batch_says_what_single_images_say(matcher: Matcher, pairs: Pairs) -> None:
    table = extract_many(matcher, pairs[0][:4], Role.PROBE)
    backwards = extract_many(matcher, pairs[0][3::-1], Role.PROBE)
    assert (table.templates == backwards.templates[::-1]).all()
    for row, pixels in enumerate(pairs[0][:4]):
        assert (table.templates[row] == extract_one(matcher, pixels, Role.PROBE)).all()
        assert (table.templates[row] == matcher.extract(pixels)).all()  # type: ignore[attr-defined]


def test_scores_are_symmetric_and_highest_for_the_same_image(matcher: Matcher, pairs: Pairs) -> None:
    table = extract_many(matcher, pairs[0][:6], Role.REFERENCE)
    scores = compare_tables(matcher, table, table)
    assert np.allclose(scores, scores.T, atol=1e-6)
    assert (scores.argmax(1) == np.arange(6)).all()
    best = 1.0 if matcher.score is COSINE else 0.0
    assert np.allclose(np.diag(scores), best, atol=1e-6)
    assert (scores <= matcher.score.high + 1e-6).all()
    assert (scores >= matcher.score.low - 1e-6).all()


def test_pairs_score_as_they_do_among_all(matcher: Matcher, pairs: Pairs) -> None:
    references = extract_many(matcher, pairs[0][:5], Role.REFERENCE)
    probes = extract_many(matcher, [*pairs[1][:4], np.zeros((64, 64, 3), np.uint8)], Role.PROBE)
    rows = np.array([[0, 0], [0, 1], [4, 3], [2, 2], [1, 4]])
    scores = compare_pairs(matcher, references, probes, rows)
    assert np.allclose(scores[:4], compare_tables(matcher, references, probes)[rows[:4, 0], rows[:4, 1]], atol=1e-6)
    assert np.isnan(scores[4])


def test_blank_images_are_failures_of_their_side(matcher: Matcher) -> None:
    blank = [np.zeros((112, 112, 3), np.uint8), np.full((64, 48, 3), 255, np.uint8)]
    table = extract_many(matcher, blank, Role.REFERENCE)
    assert not table.extracted.any()
    assert np.isnan(table.templates).all()
    assert table.failure_rate == 1
    assert {failure.kind for failure in table.failures.values()} == {"failure_to_enrol"}
    assert table.reasons() == {"detect: no face found": 2}
    probes = extract_many(matcher, blank, Role.PROBE)
    assert probes.failures[0].kind == "failure_to_extract"
    assert np.isnan(compare_tables(matcher, table, probes)).all()


def test_the_raw_length_is_what_was_divided_by(pairs: Pairs) -> None:
    sface = load_sface()
    face = sface.detect(pairs[0][0])
    assert face is not None
    chip = sface.align(pairs[0][0], face)
    assert np.allclose(sface.template(chip) * sface.norm(chip), sface.embed(chip), rtol=1e-5, atol=1e-5)
    template = sface.template(chip)
    assert compare(template[None], template[None])[0, 0] == pytest.approx(1)
    assert (SFace.name, SFace.version) == ("sface", "2021dec-int8bq")


def test_distances_near_zero_are_exact() -> None:
    a = np.random.default_rng(0).standard_normal((4, 128)).astype(np.float32)
    b = a.copy()
    b[:, 0] += np.float32(1e-4)
    scores = np.diag(MINUS_EUCLIDEAN.cross(a, b))
    assert scores == pytest.approx(MINUS_EUCLIDEAN.pairs(a, b), rel=1e-3)
    assert scores == pytest.approx(-1e-4, rel=0.01)
    # A distance limit is a threshold with its sign changed: nearer is higher.
    assert MINUS_EUCLIDEAN.pairs(a[:1], b[:1]) > MINUS_EUCLIDEAN.pairs(a[:1], a[1:2])


def test_real_faces_are_told_apart(matcher: Matcher, real_faces: dict[str, list[Pixels]], record_property: Any) -> None:
    """40 people, three videos each: EER over all pairs of images. The bounds are loose on purpose."""
    images = [pixels for of_one in real_faces.values() for pixels in of_one]
    who = np.repeat(np.arange(len(real_faces)), 3)
    table = extract_many(matcher, images, Role.PROBE)
    scores = compare_tables(matcher, table, table)
    upper = np.triu(table.extracted[:, None] & table.extracted[None], 1)
    same = who[:, None] == who[None]
    eer = equal_error_rate(scores[upper & same], scores[upper & ~same])
    record_property(
        "figures",
        f"{matcher.name}: EER {eer:.4f}, {np.count_nonzero(upper & same)} mated and "
        f"{np.count_nonzero(upper & ~same)} non-mated comparisons, failure rate {table.failure_rate:.4f}",
    )
    assert table.failure_rate < 0.05
    assert eer < 0.1
