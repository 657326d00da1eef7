"""What the report says of a judged set, against the same reckoned plainly."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.dataset.report import Report
from workers.generator.trained_on import TemplatesOf, TrainedOn
from workers.report.difficulty import TARGETS

UNIT = np.array([[1, 0], [0.9848, 0.1736], [0, 1], [-0.1736, 0.9848], [-0.94, -0.34], [-0.64, -0.77]])
"""Three subjects of two samples: 10°, 10° and 30° apart."""


def scores_of(table: Any, owners: Any) -> tuple[Any, Any]:
    """Mated and non-mated cosines of every two rows."""
    left, right = np.triu_indices(len(table), 1)
    scores = np.einsum("pd,pd->p", table[left], table[right])
    mated = owners[left] == owners[right]
    return scores[mated], scores[~mated]


def test_rates_are_those_of_every_two_samples_of_the_subjects(evidence: Any, make_report: Any) -> None:
    found = evidence(subjects=50)
    judge = make_report(found).judges[0]
    rows = found.mated
    mated, non_mated = scores_of(found.judges[0].templates[rows], found.subjects[rows])
    assert (judge.mated.count, judge.non_mated.count) == (len(mated), len(non_mated)) == (150, 11_025)
    point = judge.at_fmr(1e-2)
    assert point is not None
    assert point.fmr.value == pytest.approx(np.mean(non_mated >= point.threshold), abs=1e-6)
    assert point.fmr.value <= 1e-2 < np.mean(non_mated >= point.threshold - 1e-3)
    assert point.fnmr.value == pytest.approx(np.mean(mated < point.threshold), abs=1e-6)
    assert point.fnmr.by_subject.low <= point.fnmr.value <= point.fnmr.by_subject.high
    assert sum(judge.mated.bins.counts) == 150
    assert sum(judge.non_mated.bins.counts) == 11_025
    assert judge.mated.mean == pytest.approx(mated.mean(), abs=1e-4)


def test_an_fmr_that_is_not_resolved_has_no_rate_but_says_what_it_needs(evidence: Any, make_report: Any) -> None:
    judge = make_report(evidence(subjects=50)).judges[0]
    assert [point.target_fmr for point in judge.points] == list(TARGETS)
    assert [point.resolved for point in judge.points] == [True, False, False]
    unresolved = judge.points[1]
    assert (unresolved.fmr, unresolved.fnmr, unresolved.threshold) == (None, None, None)
    assert unresolved.needs == (
        "30,000 non-mated comparisons, and there are 11,025: 83 judged subjects of 3 samples would do"
    )


def test_the_det_falls_and_has_a_band(evidence: Any, make_report: Any) -> None:
    det = make_report(evidence()).judges[0].det
    assert [point.target_fmr for point in det] == sorted((point.target_fmr for point in det), reverse=True)
    fnmr = [point.fnmr for point in det]
    assert fnmr == sorted(fnmr)
    assert all(point.fmr <= point.target_fmr and point.low <= point.fnmr <= point.high for point in det)
    assert any(point.by_subject for point in det)
    assert not det[-1].resolved


def test_uniqueness_is_of_one_sample_an_identity_beside_what_chance_leaves(evidence: Any, make_report: Any) -> None:
    found = evidence(subjects=50)
    judge = make_report(found).judges[0]
    gallery = found.judges[0].templates[found.gallery]
    scores = gallery @ gallery.T
    np.fill_diagonal(scores, -1)
    point = judge.at_fmr(1e-2)
    assert judge.uniqueness.identities == 55
    assert judge.uniqueness.u_class == pytest.approx(np.mean(scores.max(1) < point.threshold), abs=1e-6)
    assert judge.uniqueness.by_chance == pytest.approx((1 - point.fmr.value) ** 54, rel=1e-3)
    assert judge.uniqueness.look_alikes[0].subjects[0].startswith("S00000")


def test_groups_search_and_drift_are_there(evidence: Any, make_report: Any) -> None:
    report: Report = make_report(evidence(subjects=50))
    judge = report.judges[0]
    assert [group.group for group in judge.groups[0].groups] == ["female", "male"]
    assert sum(group.fnmr.trials for group in judge.groups[0].groups) == 150
    assert {point.size for point in judge.identification if not point.extrapolated} == {10, 20, 54}
    assert all(point.extrapolated for point in judge.identification if point.size > 54)
    assert report.drift[0].judges == ("judge", "filter")
    assert report.drift[0].mated_correlation is not None
    assert report.judges[1].capacity is None
    assert "cosine" in report.judges[1].absent["capacity"]


def test_failures_are_counted_by_their_side_and_are_in_no_rate(evidence: Any, make_report: Any, judged_by: Any) -> None:
    whole = evidence(subjects=50)
    templates = whole.judges[0].templates.copy()
    templates[[0, 1, 2, 4, 150]] = np.nan  # all of subject 0, a probe of subject 1, a distractor
    report: Report = make_report(evidence(subjects=50, judges=(judged_by(templates),)))
    judge = report.judges[0]
    assert (judge.enrolment.errors, judge.enrolment.trials) == (2, 55)
    assert (judge.extraction.errors, judge.extraction.trials) == (3, 100)
    assert [(item.reason, item.count) for item in judge.failures] == [("detect: no face found", 5)]
    assert judge.mated.count == 150 - 3 - 2
    assert judge.at_fmr(1e-2).fnmr.failed == 5
    assert any("5 samples" in sentence for sentence in report.summary)


def test_what_repeats_the_training_set_is_called_leakage(evidence: Any, make_report: Any, judged_by: Any) -> None:
    rng = np.random.default_rng(1)
    whole = evidence(subjects=50)
    copied = whole.judges[0].templates[whole.gallery]
    strangers = rng.normal(size=(60, 16)).astype(np.float32)

    def told(training: Any) -> Report:
        trained_on = TrainedOn(
            matcher_digest="a" * 64,
            training=TemplatesOf(templates=training.astype(np.float32), subjects=np.arange(len(training))),
            held_out=TemplatesOf(templates=strangers, subjects=np.arange(1000, 1060)),
        )
        judge = judged_by(whole.judges[0].templates, trained_on=trained_on)
        found: Report = make_report(evidence(subjects=50, judges=(judge,), trained=True))
        return found

    leaking, clean = told(copied), told(rng.normal(size=(55, 16)))
    assert leaking.judges[0].leakage.auc > 0.9
    assert leaking.judges[0].leakage.membership_auc > 0.9
    assert any("GIVES ITS TRAINING SET AWAY" in sentence for sentence in leaking.summary)
    assert 0.3 < clean.judges[0].leakage.auc < 0.7
    assert any("cannot be told from the set" in sentence for sentence in clean.summary)
    assert "ships no templates" in make_report(evidence(trained=True)).judges[0].absent["leakage"]
    assert "not applicable" in make_report(evidence(trained=False)).judges[0].absent["leakage"]


def test_pose_asked_and_measured_are_held_together(evidence: Any, make_report: Any) -> None:
    asked = np.linspace(-30, 30, 125)
    report: Report = make_report(evidence(asked_yaw=asked, qualities={"yaw_deg": asked + 2}))
    assert report.quality.pose.correlation == pytest.approx(1)
    assert report.quality.pose.mean_error == pytest.approx(2)
    assert "pose" in make_report(evidence()).quality.absent


def test_the_same_evidence_gives_the_same_bytes_and_reads_back(evidence: Any, make_report: Any) -> None:
    first: Report = make_report(evidence())
    assert make_report(evidence()).model_dump_json() == first.model_dump_json()
    assert Report.model_validate_json(first.model_dump_json()) == first
    newer = first.model_dump(mode="json") | {"later": 1}
    assert Report.model_validate(newer) == first


class TestLittle:
    """Sets too small, or in which nothing was found: sections say why they are not there."""

    def absent(self, report: Report) -> dict[str, str]:
        return report.judges[0].absent

    def test_no_judges(self, evidence: Any, make_report: Any) -> None:
        report = make_report(_without(evidence()))
        assert report.judges == ()
        assert "judged_subjects is 0" in report.absent["judges"]
        assert any("not measured" in sentence for sentence in report.summary)

    def test_one_subject_of_one_sample(self, evidence: Any, make_report: Any, judged_by: Any) -> None:
        judge = judged_by(UNIT[:1])
        report = make_report(evidence(subjects=1, samples=1, distractors=0, judges=(judge,), labels={"sex": ["male"]}))
        found = report.judges[0]
        assert (found.mated, found.non_mated, found.det, found.eer, found.uniqueness) == (None, None, (), None, None)
        assert "no mated and no non-mated" in self.absent(report)["points"]
        assert all(point.fnmr is None for point in found.points)
        assert "not measured: there are no mated and no non-mated comparisons" in " ".join(report.summary)

    def test_one_sample_each_has_no_mated_side(self, evidence: Any, make_report: Any) -> None:
        report = make_report(evidence(subjects=100, samples=1, distractors=0))
        assert report.judges[0].mated is None
        assert report.judges[0].non_mated.count == 4950
        assert report.judges[0].uniqueness is not None
        assert "no mated" in self.absent(report)["eer"]

    def test_one_subject_has_no_other(self, evidence: Any, make_report: Any) -> None:
        report = make_report(evidence(subjects=1, samples=4, distractors=0, labels={"sex": ["male"]}))
        assert report.judges[0].non_mated is None
        assert report.judges[0].mated.count == 6
        assert "no non-mated" in self.absent(report)["det"]

    def test_three_subjects(self, evidence: Any, make_report: Any, judged_by: Any) -> None:
        judge = judged_by(UNIT)
        report = make_report(evidence(subjects=3, samples=2, distractors=0, judges=(judge,)))
        found = report.judges[0]
        assert (found.mated.count, found.non_mated.count) == (3, 12)
        assert found.eer.value == 0
        assert found.points[0].fnmr is None
        assert "needs 3,000 non-mated" in found.absent["uniqueness"]

    def test_no_template_at_all(self, evidence: Any, make_report: Any, judged_by: Any) -> None:
        judge = judged_by(np.full((125, 16), np.nan))
        report = make_report(evidence(judges=(judge,)))
        found = report.judges[0]
        assert (found.enrolment.value, found.extraction.value) == (1, 1)
        assert "no template" in found.absent["difficulty"]
        assert found.points == ()

    def test_everybody_looks_the_same(self, evidence: Any, make_report: Any, judged_by: Any) -> None:
        judge = judged_by(np.ones((125, 16)) / 4)
        report = make_report(evidence(judges=(judge,)))
        assert report.judges[0].at_fmr(1e-2).fnmr.value == 1
        assert report.judges[0].uniqueness.u_class == 1  # nobody reaches a threshold above every score


def _without(found: Any) -> Any:
    nothing = np.zeros(0, np.int64)
    return replace(
        found,
        judges=(),
        subjects=nothing,
        samples=nothing,
        labels={},
        qualities={},
        judged_subjects=0,
        judged_distractors=0,
    )
