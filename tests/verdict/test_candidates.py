"""Candidate lists: FNIR, FPIR and rank one by hand, and whatever is odd in a list named with its line."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

from app.cli.main import run
from app.dataset.candidates import SearchesFound, SearchRule
from app.dataset.evaluation import EvaluatedSet, Verdict
from workers.biometrics.errors import ScoresRefused
from workers.verdict import candidate_files, searching
from workers.verdict.blocks import name_of
from workers.verdict.candidates import Searched, read_candidates
from workers.verdict.searching import evaluate_searches, measure_searches

OF = EvaluatedSet(dataset="ds", release=None, name="x", comparisons=0, comparisons_sha256=None)
HEAD = "probe,rank,reference,score\n"


def label(subject: int, sample: int = 0) -> str:
    return f"S{subject:07d}_{sample:04d}"


def lists(searches: dict[tuple[int, int], list[tuple[int, float]]]) -> str:
    """Rows of searches: (subject, sample) of the probe to (subject of the reference, score), best first."""
    return HEAD + "".join(
        "".join(f"{label(*probe)},{rank},{label(other)},{score}\n" for rank, (other, score) in enumerate(found, 1))
        or f"{label(*probe)},,,\n"
        for probe, found in searches.items()
    )


def read(text: str | bytes, probes: list[tuple[int, int]], gallery: list[int]) -> Searched:
    data = text if isinstance(text, bytes) else text.encode()
    return read_candidates(
        io.BytesIO(data),
        np.array([subject * 10_000 + sample for subject, sample in probes]),
        np.array([subject * 10_000 for subject in gallery]),
    )


# Subjects 0 to 3 are enrolled, 4 and 5 are not.
OPEN = {
    (0, 1): [(0, 0.9), (1, 0.4), (2, 0.3)],  # found first
    (1, 1): [(2, 0.7), (1, 0.6), (0, 0.2)],  # second
    (2, 1): [(0, 0.5), (1, 0.4), (3, 0.3)],  # not in the list
    (3, 1): [],  # nobody
    (4, 1): [(0, 0.65), (1, 0.1)],
    (5, 1): [(3, 0.35)],
}


def open_set(*fpirs: float) -> SearchesFound:
    return measure_searches(OF, read(lists(OPEN), list(OPEN), [0, 1, 2, 3]), fpirs)


def test_an_open_set_by_hand() -> None:
    found = open_set(0.5, 0.4)
    assert (found.mated, found.non_mated, found.non_mated_are) == (4, 2, "probes without a mate")
    half, none = found.points
    # One of the two strangers may find somebody: above 0.35. Mates at 0.9 and 0.6 are found, two are not.
    assert (half.fpir.errors, half.fpir.trials) == (1, 2)
    assert (half.fnir.errors, half.fnir.trials, half.fnir.value) == (2, 4, 0.5)
    assert 0.35 < (half.threshold or 0) <= 0.6
    # None may: above 0.65. The mate at 0.6 is lost as well.
    assert (none.fpir.errors, none.fnir.errors) == (0, 3)
    assert found.rank_one.errors == 3
    assert [(point.rank, point.found) for point in found.ranks] == [(1, 0.25), (2, 0.5)]
    assert (found.shortest, found.longest, found.candidates) == (0, 3, 12)
    assert any("in 2 mated searches the mate is not in the list" in note for note in found.notes)


def test_a_closed_set_is_searched_once_more_without_the_mate() -> None:
    closed = {probe: rows for probe, rows in OPEN.items() if probe[0] < 4}
    found = measure_searches(OF, read(lists(closed), list(closed), [0, 1, 2, 3]), [0.25])
    assert found.non_mated_are == "mated searches, the mate put aside"
    # The best others: 0.4, 0.7, 0.5, nobody. One may reach the threshold: above 0.5, so the mates at 0.9 and 0.6 match.
    assert (found.points[0].fpir.errors, found.points[0].fpir.trials) == (1, 4)
    assert found.points[0].fnir.errors == 2
    assert not found.points[0].resolved


def test_a_tie_with_the_mate_is_a_miss_at_rank_one_and_named() -> None:
    tied = {(0, 1): [(0, 0.5), (1, 0.5), (2, 0.5)], (1, 1): [(0, 0.5), (1, 0.4), (2, 0.4)]}
    found = read(lists(tied), list(tied), [0, 1, 2])
    assert found.mate_ranks.tolist() == [3, 3]
    assert found.tied == 3
    measured = measure_searches(OF, found, [0.1])
    assert measured.rank_one.value == 1.0
    assert "line 3: S0000000_0001, ranks 1 and 2" in measured.notes[1]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (
            f"{label(0, 1)},1,{label(0)},0.9\n{label(0, 1)},3,{label(1)},0.4\n",
            "ranks do not go on by one.*line 3: S0000000_0001",
        ),
        (f"{label(0, 1)},2,{label(0)},0.9\n", "ranks do not go on by one.*line 2"),
        (f"{label(0, 1)},0,{label(0)},0.9\n", "ranks do not go on by one"),
        (f"{label(0, 1)},1,{label(0)},0.4\n{label(0, 1)},2,{label(1)},0.9\n", "ranks contradict scores.*line 3"),
        (f"{label(0, 1)},1,{label(0)},0.9\n{label(0, 1)},2,{label(0)},0.4\n", "a reference stands twice.*line 2"),
        (
            f"{label(0, 1)},1,{label(0)},0.9\n{label(1, 1)},1,{label(0)},0.9\n{label(0, 1)},1,{label(1)},0.9\n",
            "a probe's list comes again.*line 4: S0000000_0001",
        ),
        (f"{label(0, 1)},1,{label(9)},0.9\n", "no reference of the gallery.*line 2: S0000000_0001: S0000009_0000"),
        (f"{label(7, 1)},1,{label(0)},0.9\n", "no probe of the set.*line 2: S0000007_0001"),
        (f"alice,1,{label(0)},0.9\n", "no probe of the set"),
        (f"{label(0, 1)},1,,0.9\n", "no rank, reference or score"),
        (f"{label(0, 1)},1,{label(0)},0.9\n", "1 probes have no list .S0000001_0001"),
        (f"{label(0, 1)},1,{label(0)},nan\n", "score is NaN"),
        (f"{label(0, 1)},1,{label(0)},inf\n", "must be finite"),
        (f"{label(0, 1)},1,{label(0)},1_0\n", "no candidate list"),
        (f"{label(0, 1)},1,{label(0)}\n", "no candidate list"),
        (f"{label(0, 1)},1,{label(0)},0.9", "cut off"),
        (b"\xff,1,x,0.5\n", "no candidate list"),
    ],
)
def test_what_is_odd_is_named_with_its_line(rows: str | bytes, what: str) -> None:
    data = HEAD.encode() + (rows if isinstance(rows, bytes) else rows.encode())
    with pytest.raises(ScoresRefused, match=what):
        read(data, [(0, 1), (1, 1)], [0, 1])


def test_only_the_first_ten_of_each_kind_are_named() -> None:
    rows = "".join(f"{label(0, 1)},{2 * rank},{label(0)},0.5\n" for rank in range(1, 30))
    with pytest.raises(ScoresRefused, match=r"29 × ranks do not go on.* and 19 more"):
        read(HEAD + rows, [(0, 1)], [0])
    with pytest.raises(ScoresRefused, match="the header is 'a,b'"):
        read("a,b\n1,2\n", [(0, 1)], [0])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1_000), block=st.integers(200, 4_000))
def test_blocks_may_end_anywhere_and_the_lists_are_what_they_are(seed: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    probes = [(subject, 1) for subject in range(12)]
    gallery = list(range(8))
    scores = {probe: np.round(rng.normal(size=8), 1) for probe in probes}
    searches = {
        probe: [(int(at), float(row[at])) for at in np.argsort(-row, kind="stable")[: rng.integers(0, 9)]]
        for probe, row in scores.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidate_files, "BLOCK_BYTES", block)
        found = read(lists(searches), probes, gallery)
    for number, (probe, rows) in enumerate(searches.items()):
        mine = [score for other, score in rows if other == probe[0]]
        others = [score for other, score in rows if other != probe[0]]
        assert found.mate_scores[number] == (mine[0] if mine else -np.inf)
        assert found.mate_ranks[number] == (1 + sum(score >= mine[0] for score in others) if mine else 0)
        assert found.best_others[number] == max(others, default=-np.inf)
        assert found.lengths[number] == len(rows)


def test_the_command(make_set: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_set(6, 2)
    rng = np.random.default_rng(1)
    rows = {}
    for subject in range(6):
        scores = rng.normal(size=6) + 4 * (np.arange(6) == subject)
        rows[(subject, 1)] = [(int(at), float(scores[at])) for at in np.argsort(-scores)]
    (tmp_path / "lists.csv").write_text(lists(rows))
    ask = ["evaluate", "--candidates", str(tmp_path / "lists.csv"), "--dataset", str(made.folder)]
    assert run([*ask, "--at-fpir", "0.5"]) == 0
    told = capsys.readouterr().out
    assert "gallery of 6 references" in told
    assert "FNIR at FPIR 50%: 0%" in told
    assert "PASS" not in told
    assert run([*ask, "--json"]) == 0
    found = SearchesFound.model_validate(json.loads(capsys.readouterr().out))
    assert [point.target_fpir for point in found.points] == [0.1, 0.01]
    (tmp_path / "enrolled.txt").write_text("".join(f"{name_of(subject * 10_000)}\n" for subject in range(3)))
    assert run([*ask, "--gallery", str(tmp_path / "enrolled.txt")]) == 2
    assert "no reference of the gallery" in capsys.readouterr().err
    same = [*ask, "--baseline-candidates", str(tmp_path / "lists.csv"), "--max-fnir-increase", "10%"]
    files = ["--junit", str(tmp_path / "v.xml"), "--markdown", str(tmp_path / "v.md")]
    assert run([*same, *files, "--at-fpir", "0.5"]) == 0
    assert "PASS: every score is the baseline's" in capsys.readouterr().out
    assert '<testcase name="max_fnir_increase 10% of the baseline' in (tmp_path / "v.xml").read_text()
    assert "| **FNIR at FPIR 50%** | 0% " in (tmp_path / "v.md").read_text()
    assert run([*ask, "--max-fnir", "0.5"]) == 3
    assert "FPIR 0.1 needs 300 non-mated searches" in capsys.readouterr().out
    assert run([*ask, "--max-fnir-increase", "10%"]) == 2
    assert "an increase is over a baseline" in capsys.readouterr().err
    assert run([*ask, "--max-fnir", "2"]) == 2
    assert run([*ask, "--max-fnmr", "0.1"]) == 2
    assert "--candidates goes with" in capsys.readouterr().err
    assert run([*ask, "--at-fpir", "2"]) == 2
    assert run(["evaluate", "--scores", "x.csv", "--dataset", str(made.folder), "--at-fpir", "0.1"]) == 2


FRTE_HEAD = "searchId candidateRank searchRetCode isAssigned templateId score decision\n"


def frte(rows: str, numbered: list[int] | None) -> Searched:
    return read_candidates(
        io.BytesIO((FRTE_HEAD + rows).encode()),
        np.array([1, 10_001]),
        np.array([0, 10_000, 20_000]),
        numbered=None if numbered is None else np.array(numbered),
    )


@pytest.mark.parametrize("numbers", [True, False])
def test_lists_of_frte_s_test_driver(numbers: bool) -> None:
    # Subjects 0 and 1 with two samples each and subject 2 with one: numbers 1, 3, 5, 7, 9 enrolled, the next presented.
    places = [0, 1, 10_000, 10_001, 20_000]
    a, b, zero, two = ("4", "8", "1", "9") if numbers else (label(0, 1), label(1, 1), label(0), label(2))
    found = frte(
        f"{a} 0 0 1 {zero} 0.9 1\n{a} 1 0 1 {two} 0.4 1\n{a} 2 0 0  -1 1\n{b} 0 2 0  -1 0\n{b} 1 2 0  -1 0\n",
        places if numbers else None,
    )
    assert found.mate_ranks.tolist() == [1, 0]
    assert found.mate_scores.tolist() == [0.9, -np.inf]
    assert found.best_others.tolist() == [0.4, -np.inf]
    assert found.lengths.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("4 0 0 0  -1 1\n4 1 0 1 1 0.4 1\n", "ranks do not go on by one.*line 2"),
        ("4 0 0 1 1 0.4 1\n4 1 0 0  -1 1\n4 2 0 1 9 0.3 1\n", "ranks do not go on by one.*line 4"),
        ("3 0 0 1 1 0.4 1\n", "no probe of the set"),  # an odd number is an enrolled image
        ("4 0 0 1 2 0.4 1\n", "no reference of the gallery.*line 2"),
        ("4 0 0 1 99 0.4 1\n", "no reference of the gallery"),
        ("4 0 0 1  0.4 1\n", "no rank, reference or score"),
        ("4 0 0 1 1 0.4\n", "no candidate list"),
    ],
)
def test_what_is_odd_in_frte_s_lists_is_named(rows: str, what: str) -> None:
    with pytest.raises(ScoresRefused, match=what):
        frte(rows, [0, 1, 10_000, 10_001, 20_000])


def searched(mates: list[float], others: list[float]) -> Searched:
    """One closed-set search a subject."""
    count = len(mates)
    return Searched(
        probes=np.arange(count) * 10_000 + 1,
        has_mate=np.ones(count, bool),
        mate_scores=np.array(mates),
        mate_ranks=np.ones(count, np.int64),
        best_others=np.array(others),
        gallery=count,
        gallery_digest="",
        candidates=2 * count,
        lengths=np.full(count, 2),
        ties=(),
        tied=0,
    )


def test_a_verdict_on_searches_fails_passes_and_is_undecided() -> None:
    rng = np.random.default_rng(3)
    others = rng.normal(size=1_000)
    mates = rng.normal(size=1_000) + 4
    worse = np.where(np.arange(1_000) % 4 == 0, -5.0, mates)  # every fourth mate is lost
    old, new = searched(mates.tolist(), others.tolist()), searched(worse.tolist(), others.tolist())
    rule = SearchRule(at_fpir=(0.1,), max_fnir_increase="0.05")
    found = evaluate_searches(OF, new, old, rule)
    assert found.verdict is Verdict.FAIL
    assert found.difference is not None
    # By hand: lost are the fourth that were found before.
    threshold = found.points[0].threshold
    lost = int(((mates >= threshold) & (worse < threshold)).sum())
    assert found.difference.increase == pytest.approx(lost / 1_000)
    assert (found.difference.subjects_worse, found.difference.subjects_better) == (lost, 0)
    assert found.difference.low < lost / 1_000 < found.difference.high
    assert evaluate_searches(OF, old, new, rule).verdict is Verdict.PASS
    wide = rule.model_copy(update={"max_fnir_increase": "0.24"})
    assert evaluate_searches(OF, new, old, wide).verdict is Verdict.UNDECIDED
    both = SearchRule(at_fpir=(0.1,), max_fnir=0.9, max_fnir_increase="0.05")
    assert [limit.verdict for limit in evaluate_searches(OF, new, old, both).limits] == [Verdict.PASS, Verdict.FAIL]


def test_intervals_of_very_many_subjects_are_as_wide_as_those_of_subjects() -> None:
    rng = np.random.default_rng(4)
    count = 3 * searching.GROUPS
    found = searched((rng.normal(size=count) + 3).tolist(), rng.normal(size=count).tolist())
    (point,) = measure_searches(OF, found, [0.01]).points
    interval = point.fnir.by_subject
    assert interval is not None
    assert "groups" in interval.method
    # What a threshold at 1% of `count` normal scores and `count` misses spread by, from the normal distribution.
    rate, density = 0.2502, 0.3178 / 0.02665  # Φ(2.326 − 3), and the ratio of both densities there
    sd = np.sqrt((rate * (1 - rate) + density**2 * 0.01 * 0.99) / count)
    assert (interval.high - interval.low) / (2 * 1.96 * sd) == pytest.approx(1, abs=0.15)
