"""The pairs to look at first, against every two samples compared plainly."""

from typing import Any

import numpy as np
import pytest

from workers.report import extremes


def plainly(found: Any, judge: Any) -> dict[bool, dict[tuple[int, int], tuple[float, str, str]]]:
    """Mated or not, to subjects, to the extreme score of them and its samples."""
    rows = [row for row in np.flatnonzero(found.mated) if not np.isnan(judge.templates[row, 0])]
    best: dict[bool, dict[tuple[int, int], tuple[float, str, str]]] = {True: {}, False: {}}
    for at, left in enumerate(rows):
        for right in rows[at + 1 :]:
            a, b = judge.templates[left].astype(float), judge.templates[right].astype(float)
            score = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
            if judge.metric == "euclidean":
                score = -float(np.linalg.norm(a - b))
            owners = (int(found.subjects[left]), int(found.subjects[right]))
            names = [f"S{found.subjects[row]:07d}_{found.samples[row]:04d}" for row in (left, right)]
            mated = owners[0] == owners[1]
            pair = (score if mated else -score, *names)
            best[mated][owners] = min(best[mated].get(owners, pair), pair)
    return best


@pytest.mark.parametrize("judge", [0, 1])
@pytest.mark.parametrize("block", [2, 512])
def test_they_are_those_of_every_two_samples(
    evidence: Any, make_report: Any, judge: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extremes, "BLOCK", block)
    found = evidence(subjects=20, samples=5)
    found.judges[judge].templates[[3, 40, 41, 42, 43]] = np.nan  # a sample, and all but one of a subject
    expected = plainly(found, found.judges[judge])
    report = make_report(found).judges[judge]
    worst = sorted(expected[True].values())[: extremes.LISTED]
    assert [pair.samples for pair in report.worst_mated] == [names for _, names in map(_named, worst)]
    assert [pair.score for pair in report.worst_mated] == pytest.approx([pair[0] for pair in worst], abs=1e-5)
    alike = sorted(expected[False].values())[: extremes.LISTED]
    assert [pair.samples for pair in report.most_alike] == [names for _, names in map(_named, alike)]
    assert [pair.score for pair in report.most_alike] == pytest.approx([-pair[0] for pair in alike], abs=1e-5)
    assert not any("S0000008" in pair.samples[0] for pair in report.worst_mated)


def _named(pair: tuple[float, str, str]) -> tuple[float, tuple[str, str]]:
    return pair[0], (pair[1], pair[2])


def test_a_set_of_single_samples_has_no_mated_pair(evidence: Any, make_report: Any) -> None:
    judge = make_report(evidence(subjects=8, samples=1)).judges[0]
    assert judge.worst_mated == ()
    assert len(judge.most_alike) == extremes.LISTED


def test_a_judge_without_a_template_names_none(evidence: Any, make_report: Any, judged_by: Any) -> None:
    blind = judged_by(np.full((45 * 1, 4), np.nan))
    judge = make_report(evidence(subjects=20, samples=2, judges=(blind,))).judges[0]
    assert (judge.worst_mated, judge.most_alike) == ((), ())
