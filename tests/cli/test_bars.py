"""Progress, told where there is no terminal: it never goes backwards, and says how long the rest takes."""

from typing import Any

import pytest

from app.cli.bars import Bars


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_an_older_word_that_comes_late_is_not_shown(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars(clock.monotonic)
    for done in (10, 60, 40, 50, 70):
        bars.amount("making samples", done, 100)
        clock.now += 20
    counts = [int(line.split(": ")[1].split()[0]) for line in told(capsys)]
    assert counts == [10, 60, 60, 60, 70]


def test_it_says_how_long_the_rest_takes(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars(clock.monotonic)
    for done in (100, 200, 300, 400):  # what was there before says nothing of the speed
        bars.amount("making samples", done, 1000)
        clock.now += 30
    bars.amount("making samples", 1000, 1000)
    bars.amount("making samples", 1000, 1000)
    assert told(capsys) == [
        "making samples: 100 of 1000",
        "making samples: 200 of 1000, about 4 min left",
        "making samples: 300 of 1000, about 4 min left",
        "making samples: 400 of 1000, about 3 min left",
        "making samples: 1000 of 1000",
    ]


def test_a_count_beside_the_phase_makes_no_line_each(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars(clock.monotonic)
    for checked in range(50):
        progress = {"phase": "survey", "identities_checked": checked, "samples_done": 0, "samples_total": 10}
        bars.dataset({"state": "running", "progress": progress})
        clock.now += 1
    assert told(capsys) == [f"choosing identities ({checked} checked): 0 of 10" for checked in (0, 10, 20, 30, 40)]


def test_what_came_last_is_told_last(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars(clock.monotonic)
    made = {"identities_checked": 0, "samples_done": 10, "samples_total": 10, "judged_done": 4, "judged_total": 10}
    states = (("running", "generate"), ("assembling", "judge"), ("succeeded", None), ("succeeded", None))
    for state, phase in states:  # the end is told by its event, and again when the dataset is asked for
        bars.dataset({"state": state, "progress": {**made, "phase": phase}})
        clock.now += 20
    assert told(capsys) == ["making samples: 10 of 10", "judging samples: 4 of 10"]
