"""The OpenAPI document, and the service driven from it: no 5xx, no answer that the document does not have."""

import re
from hashlib import sha256
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import booleans
from schemathesis.checks import load_all_checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.access import ApiKeys
from app.config import Settings
from app.dataset import keys
from app.dataset.matcher import MatcherCard
from app.dataset.model import ModelCard
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.catalogues.models import ModelCatalogue
from app.main import create_app

load_all_checks()


@pytest.fixture(scope="module")
def driven(request: pytest.FixtureRequest, toy_card: dict[str, Any]) -> tuple[FastAPI, str, dict[str, str]]:
    """An application with a succeeded dataset and a preview in it, a key, and path parameters that exist."""
    doubles = request.getfixturevalue("doubles")
    store, queue = doubles
    store.public = "http://s3.test"
    ModelCatalogue(store).publish([ModelCard.model_validate(toy_card)], "toy")
    matcher = MatcherCard(
        name="m", version="1", digest="0" * 64, dimensions=4, score="a·b", provenance="none", judge=True
    )
    MatcherCatalogue(store).publish([matcher])
    unlimited = (
        "unfinished_calibrations",
        "unfinished_datasets_per_tenant",
        "unfinished_evaluations_per_tenant",
        "requests_per_minute_per_tenant",
    )
    limits = dict.fromkeys(unlimited, 10**9)
    app = create_app(
        Settings.model_validate({"environment": "development", "limits": limits}), store=store, queue=queue
    )
    key = ApiKeys(store).issue("acme", "test")
    client = TestClient(app, headers={"Authorization": f"Bearer {key}"})
    body = {"name": "x", "subjects": 2, "samples_per_subject": 2}
    dataset = client.post("/v1/datasets", json=body).json()["id"]
    request.getfixturevalue("finish_any")(store, "acme", dataset)
    store.put(keys.DatasetKeys("acme", dataset).thumbnails(0), b"a sheet")
    queue.on_preview = lambda tenant, digest: store.put(keys.preview(tenant, digest), b"PNG")
    preview = client.post("/v1/previews", json={}).headers["x-preview-id"]
    target = {"matcher": "m", "fmr": 0.01, "fnmr": 0.1}
    release = client.put("/v1/releases/gate/1.0.0", json={"dataset": dataset}).json()
    upload = sha256(b"scores").hexdigest()
    assert client.put(f"/v1/uploads/{upload}", content=b"scores").status_code == 201
    asked = {"dataset": dataset, "scores": {"upload": upload}}
    return (
        app,
        key,
        {
            "dataset_id": dataset,
            "preview_id": preview,
            "calibration_id": client.post("/v1/calibrations", json={"target": target}).json()["id"],
            "evaluation_id": client.post("/v1/evaluations", json=asked).json()["id"],
            "upload_id": upload,
            "sample": "S0000001_0001",
            "sheet": "0",
            "model": "toy",
            "matcher": "m",
            "release": "gate",
            "version": "1.0.0",
            "digest": release["digest"],
        },
    )


@pytest.fixture(scope="module")
def schema(driven: tuple[FastAPI, str, dict[str, str]]) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", driven[0])


def there_for(path: str, there: dict[str, str]) -> dict[str, str]:
    """Path parameters of something that is there."""
    kinds = {"releases": "release", "samples": "sample", "matchers": "matcher"}
    name = there[next((kind for part, kind in kinds.items() if part in path), "model")]
    return {known: {**there, "name": name}[known] for known in re.findall(r"{(\w+)}", path)}


OPERATIONS = [
    (method, path)
    for path, operations in create_app(Settings(environment="development")).openapi()["paths"].items()
    for method in operations
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_service_keeps_its_document(
    method: str, path: str, mode: GenerationMode, schema: Any, driven: tuple[FastAPI, str, dict[str, str]]
) -> None:
    _, key, there = driven
    authorization = {"Authorization": f"Bearer {key}"}

    # Not by schemathesis' own parametrize with a fixture: that needs something private of an older pytest.
    @given(
        case=schema[path][method].as_strategy(
            generation_mode=mode,
            # The key is not to be what is wrong.
            headers=authorization if mode is GenerationMode.NEGATIVE else None,
        ),
        exists=booleans(),
    )
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def drive(case: Any, exists: bool) -> None:
        if exists and mode is GenerationMode.POSITIVE and method == "get":
            case.path_parameters.update(there_for(path, there))
        # A body may fit the document and still be refused: what a model offers is not in the document.
        case.call_and_validate(headers=authorization, excluded_checks=[positive_data_acceptance])

    try:
        drive()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # nothing can be wrong with it


@pytest.fixture
def document(anonymous: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = anonymous.get("/openapi.json").json()
    return found


def test_every_operation_is_documented(document: dict[str, Any]) -> None:
    seen = set()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            name = operation["operationId"]
            assert re.fullmatch("[a-z_]+", name)
            assert name not in seen
            seen.add(name)
            assert operation["summary"]
            assert operation["description"]
            assert operation["tags"]
            assert bool(operation.get("security")) == path.startswith("/v1/")
            for status, response in operation["responses"].items():
                assert response["description"]
                if int(status) >= 400:
                    content = response["content"]["application/json"]
                    assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
                    assert set(content["example"]) == {"error", "detail", "request_id"}
            if path.startswith("/v1/"):
                assert {"401", "429", "503"} <= set(operation["responses"])
    assert "ApiKey" in document["components"]["securitySchemes"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named <= set(schemas)
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)
    examples = schemas["DatasetRequest"]["examples"]
    assert examples[0]["subjects"] > 0


def test_the_example_of_a_request_is_accepted(client: TestClient, document: dict[str, Any]) -> None:
    example = document["components"]["schemas"]["DatasetRequest"]["examples"][0]
    assert client.post("/v1/datasets", json=example).status_code == 202
