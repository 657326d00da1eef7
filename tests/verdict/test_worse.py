"""Who got worse: subjects, their comparisons and their groups, by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.dataset.evaluation import EvaluatedSet, Evaluation, Rule
from app.dataset.shard import SampleRow
from workers.verdict.album import Album, album_of
from workers.verdict.compared import compare
from workers.verdict.evaluate import evaluate
from workers.verdict.score_rows import read_csv

ALBUM = Album(image=lambda sample: f"/pictures/{sample}")


@pytest.fixture
def judged(make_set: Callable[..., Any]) -> Callable[..., Evaluation]:
    """Evaluates mated scores, subject by subject, over non-mated ones that are all 0, at threshold 0.5."""
    made = make_set(4, 3, "complete")
    of = EvaluatedSet(dataset="ds", release=None, name="x", comparisons=len(made.pairs), comparisons_sha256=None)

    def run(new: Any, old: Any = None, album: Album = ALBUM, sign: int = 1, **rule: Any) -> Evaluation:
        def scored(mated: Any) -> Any:
            scores = np.zeros(len(made.pairs), object)
            scores[made.mated] = np.array(mated, object).ravel()
            text = "".join(
                f"{row}\n" for row in map(",".join, made.rows([None if s is None else sign * s for s in scores]))
            )
            return compare(made.listed, read_csv([f"reference,probe,score\n{text}".encode()]), distances=sign < 0)

        return evaluate(
            of,
            Rule(threshold=sign * 0.5, distances=sign < 0, **rule),
            made.listed,
            scored(new),
            None if old is None else scored(old),
            album,
        )

    return run


OLD = [[0.9, 0.9, 0.4], [0.9, 0.9, 0.9], [0.9, 0.9, 0.9], [0.4, 0.9, 0.9]]
NEW = [[0.9, 0.9, 0.9], [0.3, 0.9, 0.2], [0.9, None, 0.9], [0.9, 0.1, 0.9]]
# Comparisons of a subject: samples 0 with 1, 0 with 2, 1 with 2.


@pytest.mark.parametrize("sign", [1, -1])
def test_who_got_worse_is_named_worst_first(judged: Callable[..., Evaluation], sign: int) -> None:
    worse = judged(NEW, OLD, sign=sign).worse
    assert worse is not None
    # S1 lost two, S2 one (it failed), S3 lost one and won one; S0 won one.
    assert (worse.pairs, worse.pairs_better, worse.subjects) == (4, 2, 3)
    assert [(one.subject, one.missed, one.missed_before, one.worse, one.tried) for one in worse.listed] == [
        ("S0000001", 2, 0, 2, 3),
        ("S0000002", 1, 0, 1, 3),
        ("S0000003", 1, 1, 1, 3),
    ]
    first = worse.listed[0].pairs
    assert [(pair.reference, pair.probe) for pair in first] == [
        ("S0000001_0001", "S0000001_0002"),
        ("S0000001_0000", "S0000001_0001"),
    ]
    assert (first[0].score, first[0].baseline_score) == (sign * 0.2, sign * 0.9)
    assert first[0].reference_image == "/pictures/S0000001_0001"
    assert worse.listed[1].pairs[0].score is None


def test_without_a_baseline_those_who_are_missed_are_named(judged: Callable[..., Evaluation]) -> None:
    worse = judged(NEW).worse
    assert worse is not None
    assert (worse.pairs, worse.pairs_better) == (4, None)
    assert [one.subject for one in worse.listed] == ["S0000001", "S0000002", "S0000003"]
    assert all(one.missed_before is None and one.missed == one.worse for one in worse.listed)


def test_the_same_scores_make_nobody_worse(judged: Callable[..., Evaluation]) -> None:
    worse = judged(OLD, OLD).worse
    assert worse is not None
    assert (worse.pairs, worse.subjects, worse.listed) == (0, 0, ())


def test_rates_by_group(judged: Callable[..., Evaluation]) -> None:
    album = Album(image=str, groups={"sex": {0: "male", 1: "female", 2: "male", 3: "female"}})
    groups = judged(NEW, OLD, album).groups
    assert [(group.group, group.subjects, group.fnmr.errors, group.fnmr.trials) for group in groups] == [
        ("female", 2, 3, 6),
        ("male", 2, 1, 6),
    ]
    assert [group.baseline_fnmr.errors for group in groups if group.baseline_fnmr] == [1, 1]
    assert [(group.subjects_worse, group.subjects_better) for group in groups] == [(1, 0), (1, 1)]


def test_groups_come_from_the_manifest(row_of: Callable[[int, int], SampleRow]) -> None:
    rows = [row_of(subject, sample) for subject in range(10) for sample in range(2)]
    album = album_of(rows, lambda sample, file: f"gate/{file}")
    assert album.image("S0000003_0001") == "gate/samples/S0000003/S0000003_0001.png"
    assert album.groups["sex"][0] == "male"
    assert album.groups["glasses"] == {
        subject: f"with{'' if subject % 5 == 0 else 'out'} glasses" for subject in range(10)
    }
    assert "age" not in album.groups  # 20 to 29: one band


def test_it_is_told_in_a_file_for_machines_and_in_words(tmp_path: Path, judged: Callable[..., Evaluation]) -> None:
    found = judged(NEW, OLD, max_fnmr_increase="0")
    assert Evaluation.model_validate_json(found.model_dump_json()) == found
    without = found.model_dump(mode="json")
    del without["worse"], without["groups"], without["rule"]["distances"]  # as an older version wrote it
    assert Evaluation.model_validate(without).worse is None
