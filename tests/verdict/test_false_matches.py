"""Which strangers match who did not before: named, with both scores, in every form that a verdict has."""

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from app.dataset.evaluation import EvaluatedSet, Evaluation, Rule
from app.dataset.names import sample_name
from workers.verdict import kept
from workers.verdict.album import Album
from workers.verdict.compared import ComparedScores, compare
from workers.verdict.evaluate import evaluate
from workers.verdict.junit import junit_xml
from workers.verdict.score_rows import read_csv
from workers.verdict.wording import markdown, summary_lines

Scored = Callable[..., ComparedScores]


@pytest.fixture
def made(make_set: Callable[..., Any]) -> Any:
    return make_set(4, 2, "complete")


@pytest.fixture
def scored(made: Any) -> Scored:
    """Scores: mated ones 0.9, the non-mated ones as given by their number, else 0.1."""

    def score(given: dict[int, float | None], sign: int = 1, **more: Any) -> ComparedScores:
        scores = np.where(made.mated, 0.9, 0.1).astype(object)
        for number, value in given.items():
            scores[np.flatnonzero(~made.mated)[number]] = value
        rows = made.rows([None if one is None else sign * one for one in scores])
        text = "reference,probe,score\n" + "".join(f"{row}\n" for row in map(",".join, rows))
        return compare(made.listed, read_csv([text.encode()]), distances=sign < 0, **more)

    return score


def judged(made: Any, new: ComparedScores, old: ComparedScores | None = None, sign: int = 1, **rule: Any) -> Evaluation:
    of = EvaluatedSet(dataset="ds", release=None, name="x", comparisons=len(made.pairs), comparisons_sha256=None)
    rules = Rule(threshold=sign * 0.5, distances=sign < 0, **rule)
    return evaluate(of, rules, made.listed, new, old, Album(image=lambda sample: f"/p/{sample}"))


NEW = {0: 0.8, 3: 0.95, 5: 0.6}
OLD = {0: 0.7, 3: 0.2, 5: None, 7: 0.9}


@pytest.mark.parametrize("sign", [1, -1])
def test_new_false_matches_are_named_the_highest_first(made: Any, scored: Scored, sign: int) -> None:
    found = judged(made, scored(NEW, sign), scored(OLD, sign), sign).false_matches
    assert found is not None
    assert (found.pairs, found.pairs_better) == (2, 1)
    assert [(pair.score, pair.baseline_score) for pair in found.listed] == [
        (sign * 0.95, sign * 0.2),
        (sign * 0.6, None),
    ]
    names = [made.pairs[np.flatnonzero(~made.mated)[number]] for number in (3, 5)]
    assert [(pair.reference, pair.probe) for pair in found.listed] == [
        (sample_name(*pair.reference), sample_name(*pair.probe)) for pair in names
    ]
    assert found.listed[0].reference_image == f"/p/{found.listed[0].reference}"


def test_without_a_baseline_all_that_match_are_named(made: Any, scored: Scored) -> None:
    found = judged(made, scored(NEW)).false_matches
    assert found is not None
    assert (found.pairs, found.pairs_better, len(found.listed)) == (3, None, 3)
    assert [pair.score for pair in found.listed] == [0.95, 0.8, 0.6]


def test_where_it_is_not_known_which_reach_the_threshold_none_is_named(made: Any, scored: Scored) -> None:
    many = dict.fromkeys(range(10), 0.9)
    assert judged(made, scored(many, keep=5)).false_matches is None
    # Kept by a version of before, without the comparisons that they are of.
    old = scored(OLD)
    object.__setattr__(old.tail, "cells", None)
    assert kept.unpack(kept.pack(old)).tail.cells is None
    assert judged(made, scored(NEW), kept.unpack(kept.pack(old))).false_matches is None


def test_an_evaluation_of_before_is_a_baseline_as_the_file_is(made: Any, scored: Scored) -> None:
    again = kept.unpack(kept.pack(scored(OLD)))
    assert judged(made, scored(NEW), again).false_matches == judged(made, scored(NEW), scored(OLD)).false_matches


def test_they_are_told_in_words_markdown_and_junit(made: Any, scored: Scored) -> None:
    found = judged(made, scored(NEW | dict.fromkeys(range(8, 16), 0.7)), scored(OLD), max_fnmr=0.01)
    wrong = found.false_matches
    assert wrong is not None
    first = wrong.listed[0]
    lines = summary_lines(found)
    assert "New false matches: 10 non-mated comparisons match now and did not before; 1 the other way round" in lines
    assert f"  {first.reference_image} with {first.probe_image} (0.2 → 0.95)" in lines
    assert "  and 5 more; --json and --markdown name 10" in lines
    text = markdown(found)
    assert "#### New false matches" in text
    assert (
        f"| [{first.reference}](<{first.reference_image}>) | [{first.probe}](<{first.probe_image}>) | 0.2 → 0.95 |"
        in text
    )
    failed = ET.fromstring(junit_xml(judged(made, scored(NEW), scored(OLD), max_fnmr=0.01)))
    assert "New false matches" in (failed.findtext(".//system-out") or "")
    written = Evaluation.model_validate_json(found.model_dump_json())
    assert written == found
    without = found.model_dump(mode="json")
    del without["false_matches"]  # as an older version wrote it
    assert Evaluation.model_validate(without).false_matches is None


def test_the_same_scores_name_nobody(made: Any, scored: Scored) -> None:
    found = judged(made, scored(OLD), scored(OLD))
    assert found.false_matches is not None
    assert found.false_matches.listed == ()
    assert "false matches" not in markdown(found).lower()
