"""The dashboard and the alert rules: they name only what /metrics has, and the rules do what their tests say."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.api.metrics import Metrics
from app.figures import Figures

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "observability"
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())


@pytest.fixture(scope="module")
def told(doubles: Any) -> dict[str, set[str]]:
    """Every series that /metrics can have, with its labels."""
    store, queue = doubles
    figures = Figures()
    figures.observe("task_seconds", 1.0, "generate_shard", "sdgan")
    figures.observe("wait_seconds", 1.0, "shards")
    figures.count("task_endings", "generate_shard", "done")
    figures.count("tenant_seconds", "acme", by=1.0)
    figures.store_call("put", 0.1, failed=True)
    queue.note(figures.look())
    queue.enqueue(task())
    metrics = Metrics(store, queue, figures, "1", lambda: 0.0, name_tenants=True)
    metrics.count("GET", "/livez", 503, 0.1, "StoreUnavailable")
    found: dict[str, set[str]] = {}
    for line in metrics.render().decode().splitlines():
        if match := re.match(r"(facsimile_\w+?)(?:\{(.*)\})? ", line):
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
    return found


def task() -> Any:
    from app.queue import ADVANCE, Task

    return Task(ADVANCE, "acme", "ds_1")


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_every_series_and_label_that_is_asked_for_is_told(told: dict[str, set[str]]) -> None:
    for where, expression in expressions():
        asked = re.findall(r"(facsimile_\w+)(?:\{([^{}]*(?:\"[^\"]*\"[^{}]*)*)\})?", expression)
        assert asked, where
        for name, selected in asked:
            assert name in told, f"{where}: {name} is not in /metrics"
            matched = set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', selected))
            assert matched <= told[name] | {"instance"}, f"{where}: {name} has no {matched - told[name]}"
        grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
        known = set().union(*(told[name] for name, _ in asked)) | {"instance", ""}
        assert grouped <= known, f"{where}: {grouped - known}"


def test_every_alert_says_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket", "note")
        assert set(rule["annotations"]) == {"summary", "do"}


def test_the_dashboard_can_be_laid_out() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_the_rules_pass_their_own_tests() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here; .ci/run fetches it")
    for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run([promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
