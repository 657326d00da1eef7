"""`facsimile calibrate` and `matchers` against a service that answers as ours does."""

import json
from typing import Any

import httpx
import pytest

from app.cli import calibrate
from app.cli.main import run
from app.client import connect

RATE = {"value": 0.05, "errors": 45, "trials": 900, "failed": 2, "exact": [0.04, 0.07], "by_subject": [0.03, 0.08]}
RESULT = {
    "outcome": "met",
    "scale": 1.3,
    "scale_interval": [1.1, 1.5],
    "searched": [1.0, 1.3],
    "reachable": [0.02, 0.05],
    "curve": [{"scale": 1.3, "measured": {"threshold": 0.5, "fmr": RATE, "fnmr": RATE}, "smoothed": 0.05}],
    "samples": 1800,
    "comparisons": 900,
    "note": "FNMR 0.05 at scale 1.3",
}
PROGRESS = {
    "identities_checked": 0,
    "samples_done": 0,
    "samples_total": 900,
    "fraction": 0.0,
    "phase": "calibrate",
    "scales_tried": 1,
    "scales_most": 10,
    "judged_done": 0,
    "judged_total": 900,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Bodies that were sent; the calibration runs for two looks, then ends as `RESULT` has it."""
    bodies: list[dict[str, Any]] = []
    looks = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal looks
        if request.url.path == f"/v1/calibrations/{'0' * 64}/cancel":
            return httpx.Response(200, json={"id": "0" * 64, "state": "cancelled"})
        if request.url.path == "/v1/matchers":
            card = {"name": "sface", "version": "1", "judge": True, "score": "a·b", "provenance": "the web"}
            return httpx.Response(200, json={"matchers": [card]})
        if request.method == "POST":
            bodies.append(json.loads(request.content))
        looks += 1
        job = {"id": "0" * 64, "progress": PROGRESS, "from_cache": False, "failure": None}
        if looks < 3:
            return httpx.Response(202, json={**job, "state": "running", "result": None})
        return httpx.Response(200, json={**job, "state": "succeeded", "result": RESULT})

    monkeypatch.setattr(connect, "TRANSPORT", httpx.MockTransport(answer))
    monkeypatch.setattr(calibrate, "LOOK_EVERY_S", 0.0)
    monkeypatch.setenv("FACSIMILE_URL", "http://service")
    monkeypatch.setenv("FACSIMILE_API_KEY", "fcs_x")
    return bodies


def test_it_asks_waits_and_tells(asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--fnmr", "0.05", "--fmr", "0.001", "--factor", "pose=0.5", "--samples", "5", "--glasses", "0.2"]
    assert run(["calibrate", *options]) == 0
    assert asked == [
        {
            "target": {"matcher": "sface", "fmr": 0.001, "fnmr": 0.05},
            "samples_per_subject": 5,
            "factors": {"pose": 0.5},
            "attributes": {"glasses": 0.2},
        }
    ]
    printed = capsys.readouterr()
    assert "FNMR 0.05 at scale 1.3" in printed.out
    assert "0.0300 … 0.0800" in printed.out
    assert "calibrating, scales tried: 1 of 10" in printed.err


def test_json_is_the_whole_answer(asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "--fnmr", "0.05", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"] == RESULT


def test_what_is_not_met_is_a_failure(
    asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RESULT, "outcome", "unreachable")
    monkeypatch.setitem(RESULT, "scale", None)
    monkeypatch.setitem(RESULT, "scale_interval", None)
    assert run(["calibrate", "--fnmr", "0.05"]) == 1
    assert "unreachable: FNMR 0.05 at scale 1.3" in capsys.readouterr().err


@pytest.mark.usefixtures("asked")
def test_matchers_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["matchers"]) == 0
    assert "every set" in capsys.readouterr().out


@pytest.mark.usefixtures("asked")
def test_a_calibration_is_cancelled_by_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cancel", "0" * 64]) == 0
    assert f"{'0' * 64} is cancelled" in capsys.readouterr().err


@pytest.mark.usefixtures("asked")
def test_who_stops_waiting_hears_how_to_stop_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrate.time, "sleep", interrupted)
    assert run(["calibrate", "--fnmr", "0.05"]) == 130
    assert f"facsimile cancel {'0' * 64}" in capsys.readouterr().err
