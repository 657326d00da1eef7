"""Templates searched by the service: uploaded, read apart, searched as the command does, held against a baseline."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from app.cli.main import run
from app.dataset import keys
from app.dataset.galleries import GalleriesFound
from workers.verdict import gallery_job
from workers.verdict.reading_child import read_columns

SUBJECTS, OTHERS = 60, 150

Rows = NDArray[np.float32]


def file_of(worse: float = 0.0, count: int = SUBJECTS, **more: Any) -> bytes:
    """A reference and a probe of each; probes of every fourth subject are less like it by `worse`."""
    rng = np.random.default_rng(1)
    who = rng.normal(size=(count, 16))
    rows = [who + 0.4 * rng.normal(size=who.shape) for _ in range(2)]
    rows[1] += worse * rng.normal(size=who.shape) * (np.arange(count) % 4 == 0)[:, None]
    names = [f"p{number}" for number in range(count)] * 2
    arrays: dict[str, Any] = {"ids": [f"{name}-{row}" for row, name in enumerate(names)], "subjects": names} | more
    return npz(templates=np.concatenate(rows).astype(np.float32), **arrays)


def crowd() -> bytes:
    names = [f"nobody{number}" for number in range(OTHERS)]
    rows = np.random.default_rng(2).normal(size=(OTHERS, 16)).astype(np.float32)
    return npz(ids=names, subjects=names, templates=rows)


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    made: dict[str, Any] = {name: np.array(array) for name, array in arrays.items()}
    np.savez(out, **made)
    return out.getvalue()


def send(client: TestClient, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    assert client.put(f"/v1/uploads/{digest}", content=data).status_code in (200, 201)
    return digest


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in this process: a child each would take longer than all else."""
    monkeypatch.setattr(gallery_job, "read_apart", read_columns)


HOW: dict[str, Any] = {"sizes": [20, 100], "draws": 2}
RULE: dict[str, Any] = {"at_fpir": [0.5]}


def ask(client: TestClient, **body: Any) -> str:
    answer = client.post("/v1/evaluations", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def shown(client: TestClient, evaluation: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/evaluations/{evaluation}").json()
    return found


@pytest.mark.usefixtures("here")
def test_from_upload_to_verdict(client: TestClient, worker: Any, memory_store: Any) -> None:
    def templates(worse: float = 0.0) -> dict[str, Any]:
        return {"upload": send(client, file_of(worse)), "distractors": [send(client, crowd())]}

    old = ask(client, templates=templates() | HOW, searches=RULE, name="matcher 1")
    assert worker.work() == 1
    found = shown(client, old)
    assert (found["state"], found["verdict"], found["dataset"], found["fnmr"]) == ("succeeded", None, None, None)
    galleries = GalleriesFound.model_validate(found["galleries"])
    assert (galleries.probes, galleries.real, galleries.synthetic) == (SUBJECTS, SUBJECTS, OTHERS)
    assert [curve.others for curve in galleries.curves] == ["real", "synthetic", "mixed"]
    assert found["widest"]["size"] == galleries.widest.size == 100
    assert not [key for key in memory_store.objects if key.startswith(keys.UPLOADS)]
    for name, begins in (("det", "<svg"), ("galleries", "<svg"), ("rank_one", "<svg"), ("report", "<!doctype html>")):
        answer = client.get(found["links"][name])
        assert answer.text.startswith(begins)
        assert "sandbox" in answer.headers["content-security-policy"]
    assert "![FNIR over gallery sizes](galleries.svg)" in client.get(found["links"]["markdown"]).text
    limit = RULE | {"max_fnir_increase": "0.05"}
    worse, same, both = (
        ask(client, templates=templates(by) | HOW, baseline=baseline, searches=limit)
        for by, baseline in ((3.0, {"evaluation": old}), (0.0, {"evaluation": old}), (3.0, templates()))
    )
    assert worker.work() == 3
    kept, equal, again = (shown(client, one) for one in (worse, same, both))
    assert [one["verdict"] for one in (kept, equal, again)] == ["FAIL", "PASS", "FAIL"]
    assert kept["galleries"]["difference"] == again["galleries"]["difference"]
    assert kept["galleries"]["baseline"] == again["galleries"]["baseline"]
    assert ET.fromstring(client.get(kept["links"]["junit"]).content).get("failures") == "1"
    # Other galleries than the baseline's are no comparison.
    other = ask(client, templates=templates() | HOW | {"seed": 1}, baseline={"evaluation": old}, searches=limit)
    worker.work()
    assert "sizes, draws and seed must be the same" in shown(client, other)["failure"]
    assert client.delete(f"/v1/evaluations/{old}").status_code == 204
    assert old not in {one["id"] for one in client.get("/v1/evaluations").json()["evaluations"]}


@pytest.mark.usefixtures("here")
def test_templates_of_a_set_are_searched_by_its_roles(
    client: TestClient, worker: Any, submit: Callable[..., str], finish: Callable[[str], None]
) -> None:
    dataset = submit(subjects=SUBJECTS, samples_per_subject=2, distractors=0)
    finish(dataset)
    ids = [f"S{subject:07d}_{sample:04d}" for sample in range(2) for subject in range(SUBJECTS)]
    data = file_of(ids=ids, subjects=[name[:8] for name in ids])
    made = ask(client, dataset=dataset, templates={"upload": send(client, data)} | HOW | {"sizes": [20]}, searches=RULE)
    strange = ask(client, dataset=dataset, templates={"upload": send(client, file_of())} | HOW, searches=RULE)
    worker.work()
    assert shown(client, made)["galleries"]["synthetic"] == SUBJECTS
    assert "ids are no samples of the set" in shown(client, strange)["failure"]
    listed = client.get("/v1/evaluations", params={"dataset": dataset}).json()["evaluations"]
    assert {one["id"] for one in listed} == {made, strange}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PK\x03\x04 cut", "templates: this .npz cannot be read"),
        (file_of(ids=["p"] * 2 * SUBJECTS), "1 ids stand twice (p)"),
        (file_of(subjects=["p", "q"]), "subjects must be a list of 120"),
        (npz(ids=["a"], templates=np.zeros((1, 5_000), np.float32)), "5,000 dimensions"),
    ],
)
def test_files_that_are_none_fail_with_the_reason(client: TestClient, worker: Any, data: bytes, why: str) -> None:
    made = ask(client, templates={"upload": send(client, data)} | HOW, searches=RULE)
    worker.work()
    assert why in shown(client, made)["failure"]


@pytest.mark.usefixtures("here")
def test_more_than_is_searched_here_is_refused_before_the_search(
    client: TestClient, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, most, why in (
        ("MOST_PRODUCTS", 10_000, "60 probes against 60 references of 16 numbers are more than is searched here"),
        ("MOST_SEARCHES", 100, "60 probes against 2 sizes and 1 FPIRs"),
        ("MOST_SCORES", 200, "60 probes against 2 sizes and 2 draws"),
        ("MOST_BYTES", 1_000, "more than 0 MiB of templates"),
        ("MOST_ROWS", 100, "there are 120 templates; at most 100"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(gallery_job, limit, most)
            made = ask(client, templates={"upload": send(client, file_of())} | HOW | {"sizes": [20, 50]}, searches=RULE)
            worker.work()
        assert why in shown(client, made)["failure"], limit


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"templates": {"upload": "0" * 64}}, "templates.upload: there is no upload"),
        ({"scores": {"upload": "0" * 64}}, "either scores or candidates or templates"),
        ({"sizes": [1]}, "templates.sizes.0"),
        ({"draws": 0}, "templates.draws"),
        ({"distractors": ["0" * 64]}, "templates.distractors.0: there is no upload"),
        ({"real_distractors": ["x"]}, "templates.real_distractors.0"),
        ({"gallery": {"upload": "0" * 64}}, "gallery is about candidates"),
        ({"rule": {"at_fmr": 0.01}}, "rule is about scores"),
        ({"baseline": {"upload": "0" * 64, "metric": "cosine"}}, "searches have none"),
        ({"baseline": {"upload": "0" * 64, "distractors": []}}, "baseline.upload: there is no upload"),
        ({"searches": {"max_fnir_increase": "10%"}}, "over a baseline"),
    ],
)
def test_what_is_refused(client: TestClient, memory_store: Any, change: dict[str, Any], what: str) -> None:
    body: dict[str, Any] = {"templates": {"upload": send(client, file_of(count=2))}}
    for name, value in change.items():
        (body["templates"] if name in ("sizes", "draws", "distractors", "real_distractors") else body)[name] = value
    answer = client.post("/v1/evaluations", json=body)
    assert answer.status_code == 422, answer.text
    assert what in answer.json()["detail"]
    assert not [key for key in memory_store.objects if key.startswith(keys.UNFINISHED_EVALUATIONS) or "/users/" in key]


@pytest.mark.usefixtures("here")
def test_the_command_sends_templates_and_finds_what_it_finds_here(
    client: TestClient,
    there: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    printed: Callable[[], Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, data in (("old", file_of()), ("new", file_of(3.0)), ("crowd", crowd())):
        Path(f"{name}.npz").write_bytes(data)
    here = ["evaluate", "--templates", "new.npz", "--distractors", "crowd.npz", "--sizes", "20,100", "--draws", "2"]
    here += ["--at-fpir", "0.5", "--max-fnir-increase", "0.05", "--json"]
    before = ["--baseline-templates", "old.npz", "--baseline-distractors", "crowd.npz"]
    outputs = ["--html", "page.html", "--det", "det.svg", "--plot", "plot.svg", "--markdown", "out/summary.md"]
    Path("out").mkdir()
    assert run([*here, *before, *outputs]) == 1
    mine = json.loads(capsys.readouterr().out)
    assert "![DET](../det.svg)" in Path("out/summary.md").read_text()
    assert Path("page.html").read_text().count("<svg") == 3
    assert run([*here, *before, *there, "--name", "new"]) == 1
    theirs = printed()
    assert {**theirs, "name": ""} == {**mine, "name": ""}
    made = client.get("/v1/evaluations").json()["evaluations"][0]["id"]
    assert run([*here, *there, "--baseline-evaluation", made]) == 0
    capsys.readouterr()
    assert run([*here, *there]) == 2
    assert "max_fnir_increase is over a baseline" in capsys.readouterr().err
    assert run([*here, *before, *there, "--baseline-evaluation", made]) == 2
    assert "give a file or an evaluation, not both" in capsys.readouterr().err
    assert run([*here, *before, "--name", "x"]) == 2
    assert "with --remote also with --release, --name" in capsys.readouterr().err.replace("\n", " ")
