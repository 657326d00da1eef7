"""Every field of a request is described, with examples; and every example is accepted, by the models that there are."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from fastapi.testclient import TestClient
from pydantic import BaseModel

from app.access import ApiKeys, Role
from app.api.fields import EXAMPLES, models_in
from app.api.openapi import REQUESTS
from app.cli.main import app as command_line
from app.cli.main import run
from app.client import connect
from app.config import Settings, WorkerSettings
from app.dataset.evaluation_request import EvaluationRequest
from app.dataset.marking import CertificateCard, MarkingCard
from app.dataset.matcher import MatcherCard
from app.dataset.model import ModelCard
from app.jobs.catalogues.marking import publish_marking
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.catalogues.models import ModelCatalogue
from app.main import create_app
from workers.generator.registry import model_cards

SFACE = MatcherCard(
    name="sface", version="1", digest="0" * 64, dimensions=4, score="a·b", provenance="none", judge=True
)

TARGET = {"matcher": "sface", "fmr": 0.01, "fnmr": 0.05}
BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "DatasetRequest": ("/v1/estimates", {"name": "x", "subjects": 200, "samples_per_subject": 5}),
    "PreviewRequest": ("/v1/previews", {}),
    "CalibrationRequest": ("/v1/calibrations", {"target": TARGET}),
    "KeyRequest": ("/v1/keys", {}),
    "WebhookRequest": ("/v1/webhook", {}),
}
"""Where a request is sent, and the least that it holds. Those about sets that exist are sent in `test_of_a_set`."""

ABOUT_SETS = ("EvaluationRequest", "ReleaseRequest", "WithdrawalRequest")

MADE_BY_US = {"Profile"}
"""What a request hands on as `facsimile profile` wrote it; nobody writes it by hand, and it has a test of its own."""

BESIDE: dict[str, dict[str, Any]] = {
    "quality": {"format": "jpeg"},
    "min": {"max": 65},
    "max": {"min": 20},
    "truncation": {},
    "product": {"matcher": "sface"},
    "matcher": {"product": "templates"},
    "target.matcher": TARGET,
    "fmr": TARGET,
    "fnmr": TARGET,
    "tolerance": TARGET,
}
"""What a field's example needs beside it, in the same object; by its name, or its name and its object's."""


@pytest.fixture(scope="module")
def client(request: pytest.FixtureRequest) -> TestClient:
    """An admin's client of a service that offers the built-in models, one that truncates, SFace and all marks."""
    store, queue = request.getfixturevalue("doubles")
    cards = model_cards(WorkerSettings())
    truncating = {**cards[0].model_dump(mode="json"), "name": "ours", "truncation": {"psi": 0.8}}
    ModelCatalogue(store).publish([*cards, ModelCard.model_validate(truncating)], "parametric")
    MatcherCatalogue(store).publish([SFACE])
    certificate = CertificateCard(
        subject="x", issuer="x", sha256="0" * 64, not_after="2099-01-01", self_made=True, timestamped=False
    )
    publish_marking(store, MarkingCard(c2pa=certificate, watermark="0" * 16))
    limits = dict.fromkeys(("unfinished_calibrations", "unfinished_calibrations_per_tenant"), 1_000)
    limits |= {"previews_waiting_per_tenant": 1_000, "preview_wait_s": 0.001}
    settings = Settings.model_validate({"environment": "development", "limits": limits})
    key = ApiKeys(store).issue("acme", "test", role=Role.ADMIN)
    return TestClient(create_app(settings, store=store, queue=queue), headers={"Authorization": f"Bearer {key}"})


def fields(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Every field of a request below the top, by its path, with its examples."""
    for name, field in model.model_fields.items():
        path = (*above, name)
        if examples := EXAMPLES.get(model.__name__, {}).get(name):
            yield path, examples
        for part in models_in(field.annotation):
            yield from fields(part, path)


def with_example(body: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    found: dict[str, Any] = deepcopy(body)
    at = found
    for name in path[:-1]:
        at = at.setdefault(name, {})
    beside = BESIDE.get(".".join(path[-2:]), BESIDE.get(path[-1], {}))
    at |= {**beside, path[-1]: value}
    if path[-1] == "truncation":
        found["model"] = "ours"
    return found


@pytest.mark.parametrize("name", BASES)
def test_every_example_is_accepted(name: str, client: TestClient) -> None:
    where, base = BASES[name]
    model = next(model for model in REQUESTS if model.__name__ == name)
    sent = 0
    for path, examples in fields(model):
        if name == "PreviewRequest" and "target" in path:
            continue  # a preview is of a scale
        for example in examples:
            body = with_example(base, path, example)
            method = "PUT" if where == "/v1/webhook" else "POST"
            answer = client.request(method, where, json=body)
            assert answer.status_code < 300, f"{'.'.join(path)} = {example!r}: {answer.text}"
            sent += 1
    assert sent >= len(EXAMPLES[name])


def test_examples_about_sets_are_accepted(client: TestClient, request: pytest.FixtureRequest) -> None:
    store, _ = request.getfixturevalue("doubles")
    asked = {"name": "x", "subjects": 3, "samples_per_subject": 2}
    dataset = client.post("/v1/datasets", json=asked).json()["id"]
    request.getfixturevalue("finish_any")(store, "acme", dataset)
    for notes in EXAMPLES["ReleaseRequest"]["notes"]:
        released = client.put("/v1/releases/gate-smoke/1.2.0", json={"dataset": dataset, "notes": notes})
        assert released.status_code == 201, released.text
    (digest,) = EXAMPLES["Uploaded"]["upload"]
    assert client.put(f"/v1/uploads/{digest}", content=b"test").status_code == 201
    ((distractors,),) = EXAMPLES["SearchedTemplates"]["distractors"]
    assert client.put(f"/v1/uploads/{distractors}", content=b"foo").status_code == 201
    base = {"dataset": dataset, "scores": {"upload": digest}, "baseline": {"upload": digest}, "keep_uploads": True}
    model = next(model for model in REQUESTS if model.__name__ == "EvaluationRequest")
    for path, examples in fields(model):
        for example in examples:
            kind = "candidates" if path[0] in ("candidates", "gallery", "searches") else path[0]
            others = {"scores": None, kind: {"upload": digest}} if kind in ("candidates", "templates") else {}
            body = with_example(base | others, path, example)
            if path == ("release",):
                del body["dataset"]
            if path[-1] == "baseline_threshold":
                body["rule"]["threshold"] = 0.4
            if path == ("dataset",) or path[0] == "baseline":
                EvaluationRequest.model_validate(
                    with_example(base | {"baseline": None}, path[:1], example) if len(path) == 1 else base
                )
                continue  # ids of things that are nowhere
            answer = client.post("/v1/evaluations", json=body)
            assert answer.status_code == 202, f"{'.'.join(path)} = {example!r}: {answer.text}"
    (reason,), (confirm,) = EXAMPLES["WithdrawalRequest"].values()
    answer = client.request("DELETE", "/v1/releases/gate-smoke/1.2.0", json={"reason": reason, "confirm": confirm})
    assert answer.status_code == 200, answer.text


def test_every_field_of_a_request_is_described(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    seen = 0
    todo = [model.__name__ for model in REQUESTS]
    done: set[str] = set()
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        todo += set(re.findall(r"#/components/schemas/(\w+)", json.dumps(schemas[name]))) - MADE_BY_US
        for field, said in schemas[name].get("properties", {}).items():
            assert len(said.get("description", "")) >= 5, f"{name}.{field}: write a docstring below it"
            of_ours = any(f"schemas/{made}" in json.dumps(said) for made in MADE_BY_US)
            shown = of_ours or {"examples", "$ref", "enum", "const"} & set(said)
            assert shown, f"{name}.{field}: no example in app.api.fields"
            seen += 1
    assert seen > 60
    assert set(EXAMPLES) <= done
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", []):
                assert parameter.get("description"), f"{method} {path}: {parameter['name']} is not described"


IN_HELP = re.compile(r"[a-z_]+=[0-9]\.[0-9]+(?:,[a-z_]+=[0-9]\.[0-9]+)*|[0-9]+[x-][0-9]+")
"""pose=0.5; female=0.5,male=0.5; 20-65; 480x600."""


def examples_of_the_help() -> list[tuple[str, str]]:
    """Options of `generate` with the examples in their help."""
    group = typer.main.get_command(command_line)
    context = group.make_context("facsimile", ["status"], resilient_parsing=True)
    return [
        (max(parameter.opts, key=len), example)
        for parameter in group.get_command(context, "generate").params
        for example in IN_HELP.findall(getattr(parameter, "help", None) or "")
    ]


def test_the_helps_own_examples_are_accepted(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the default model; the service is asked what the request would come to, and no set is made."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = client.post("/v1/estimates", content=request.content, headers={"Content-Type": "application/json"})
        if asked.status_code != 200:
            return httpx.Response(asked.status_code, json=asked.json())
        return httpx.Response(409, json={"error": "Conflict", "detail": "accepted", "request_id": "r"})

    monkeypatch.setattr(connect, "TRANSPORT", httpx.MockTransport(answer))
    monkeypatch.setenv("FACSIMILE_URL", "http://service.test")
    monkeypatch.setenv("FACSIMILE_API_KEY", "fcs_x")
    examples = [*examples_of_the_help(), ("--age", "19-70"), ("--sex", "female")]
    assert {"--factor", "--sex", "--age", "--size"} <= {option for option, _ in examples}
    for option, example in examples:
        run(["generate", "--out", str(tmp_path / "out"), "--subjects", "20", "--samples", "3", option, example])
        assert "facsimile: accepted (request r)" in (told := capsys.readouterr().err), f"{option} {example}: {told}"
    run(["generate", "--out", str(tmp_path / "out"), "--subjects", "20", "--samples", "3", "--age", "18-70"])
    assert "--age: model 'parametric' reaches 19 to 70 years; ask for a range within it" in capsys.readouterr().err
