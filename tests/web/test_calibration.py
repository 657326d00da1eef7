"""The curve of a calibration: drawn while it is found, on the form and on the page of a set with a target."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.dataset import keys
from app.dataset.calibration import CalibrationStep, Measured, TriedScale
from app.dataset.keys import DatasetKeys
from app.dataset.matcher import MatcherCard
from app.dataset.measures import Interval, Rate
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.records import write_json
from app.sessions import CSRF_HEADER

TARGET = {"matcher": "judge-1", "fmr": 0.01, "fnmr": 0.1}


@pytest.fixture(autouse=True)
def matcher(memory_store: Any) -> None:
    card = MatcherCard(
        name="judge-1", version="1", digest="b" * 64, dimensions=4, score="cosine", provenance="none", judge=True
    )
    MatcherCatalogue(memory_store).publish([card])


def steps(store: Any, at: DatasetKeys, *scales: float) -> None:
    """Write what a search writes that has tried these scales, and tries another."""
    exact = Interval(low=0.02, high=0.2, confidence=0.95, method="exact")
    rate = Rate(name="FNMR", value=0.1, errors=9, trials=90, failed=0, side="score < threshold", exact=exact)
    tried = tuple(
        TriedScale(scale=scale, measured=Measured(threshold=0.5, fmr=rate, fnmr=rate)) for scale in sorted(scales)
    )
    for number in range(len(scales) + 1):
        write_json(store, at.calibration_step(number), CalibrationStep(scale=9.0, tried=tried[:number]))


def dots(page: str) -> int:
    return len(re.findall(r'<circle class="c0"', page))


def test_the_form_draws_what_was_measured_so_far(browser: TestClient, secret: str, memory_store: Any) -> None:
    asked = browser.post("/v1/calibrations", json={"model": "toy", "target": TARGET}, headers={CSRF_HEADER: secret})
    assert asked.status_code == 202, asked.text
    path = f"/new/calibration/{asked.json()['id']}"
    assert "<svg" not in browser.get(path).text
    steps(memory_store, DatasetKeys(keys.SERVICE, asked.json()["id"]), 1.0, 0.5)
    page = browser.get(path).text
    assert 'data-again="2"' in page
    assert dots(page) == 2
    assert "target 10%" in page
    assert [point["scale"] for point in browser.get(asked.headers["location"]).json()["tried"]] == [0.5, 1.0]


def test_a_set_with_a_target_shows_it_too(browser: TestClient, ask: Callable[..., str], memory_store: Any) -> None:
    wanted = {f"target.{name}": str(value) for name, value in TARGET.items()}
    dataset = ask(difficulty="target", subjects="300", samples_per_subject="3", **wanted)
    assert "<svg class=" not in browser.get(f"/datasets/{dataset}").text
    steps(memory_store, DatasetKeys("acme", dataset), 1.0)
    page = browser.get(f"/datasets/{dataset}").text
    assert dots(page) == 1
    assert "1 scale measured so far" in page


def test_one_that_was_cancelled_goes_on_showing_it(
    browser: TestClient, ask: Callable[..., str], memory_store: Any
) -> None:
    wanted = {f"target.{name}": str(value) for name, value in TARGET.items()}
    dataset = ask(difficulty="target", subjects="300", samples_per_subject="3", **wanted)
    at = DatasetKeys("acme", dataset)
    steps(memory_store, at, 1.0)
    memory_store.put(at.cancelled, b'{"at": 1}')
    for _ in range(2):  # the second time, it is remembered
        found = browser.get(f"/v1/datasets/{dataset}").json()
        assert found["state"] == "cancelled"
        assert [point["scale"] for point in found["tried"]] == [1.0]
