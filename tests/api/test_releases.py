"""Releases over HTTP: statuses, headers, downloads, what a withdrawn one answers, and the audit log."""

import io
import json
import tarfile
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.dataset.manifest import content_of, read_manifest
from app.dataset.release import Release
from app.errors import StoreUnavailable
from app.jobs.phases import LAYOUT

HERE = "/v1/releases/gate-smoke/1.2.0"


@pytest.fixture
def released(client: TestClient, finished: str) -> str:
    """Path of a release of a dataset that has succeeded."""
    answer = client.put(HERE, json={"dataset": finished, "notes": "first"})
    assert answer.status_code == 201, answer.text
    return HERE


def withdraw(client: TestClient, reason: str = "look-alikes", confirm: str = "gate-smoke@1.2.0") -> Any:
    return client.request("DELETE", HERE, json={"reason": reason, "confirm": confirm})


def test_a_release_is_made_once(client: TestClient, finished: str) -> None:
    first = client.put(HERE, json={"dataset": finished})
    again = client.put(HERE, json={"dataset": finished})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    made = first.json()
    assert "they resolve no FMR, and a verdict" in made.pop("warnings")[0]
    assert made == client.get(HERE).json()
    assert first.headers["location"] == again.headers["location"] == HERE
    assert first.json()["links"]["archive"] == f"{HERE}/archive?layout=plain"
    for link, path in first.json()["links"].items():
        answer = client.get(path, params={"to": "1.2.0"} if link == "diff" else {})
        assert answer.status_code == 200, path
    page = client.get(first.json()["links"]["report"], headers={"Accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in page.headers["content-security-policy"]


def test_another_dataset_gets_409_with_the_digest_of_what_is_there(
    client: TestClient, released: str, submit: Callable[..., str], finish: Callable[[str], None]
) -> None:
    other = submit(seed=8)
    finish(other)
    answer = client.put(released, json={"dataset": other})
    assert answer.status_code == 409
    assert answer.json()["error"] == "Conflict"
    assert client.get(released).json()["digest"] in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["Gate/1.0.0", "gate/v1.0.0", "gate/1.0", "gate/latest", "by-digest/1.0.0", "g%2e/1.0.0"]
)
def test_a_wrong_name_or_version_is_refused_when_made_and_unknown_when_read(
    client: TestClient, finished: str, path: str
) -> None:
    refused = client.put(f"/v1/releases/{path}", json={"dataset": finished})
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith(("name: ", "version: "))
    assert client.get(f"/v1/releases/{path}").status_code == 404


@pytest.mark.parametrize(
    "body", [{}, {"dataset": "../../x"}, {"dataset": "ds_1", "extra": 1}, {"dataset": "ds_" + "0" * 20, "notes": 5}]
)
def test_a_wrong_body_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert client.put(HERE, json=body).status_code == 422


def test_what_is_downloaded_is_what_the_record_says(client: TestClient, released: str, finished: str) -> None:
    record = client.get(released).json()
    manifest = client.get(f"{released}/manifest")
    assert sha256(manifest.content).hexdigest() == record["manifest_sha256"]
    assert sha256(client.get(f"{released}/comparisons").content).hexdigest() == record["comparisons_sha256"]
    content = content_of(*read_manifest([manifest.content]))
    assert (content.digest, content.samples, content.pixels) == (
        record["digest"],
        record["samples_digest"],
        record["pixels_digest"],
    )
    # The archive can be verified alone: the record lies in it.
    archive = client.get(f"{released}/archive")
    assert archive.headers["content-disposition"] == 'attachment; filename="gate-smoke-1.2.0.tar"'
    with tarfile.open(fileobj=io.BytesIO(archive.content)) as tar:
        assert {name.partition("/")[0] for name in tar.getnames()} == {finished}
        files = {
            member.name.partition("/")[2]: tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar.getmembers()
        }
    assert files["manifest.json"] == manifest.content
    inside = Release.model_validate_json(files["release.json"])
    assert json.loads(inside.model_dump_json()) == {key: value for key, value in record.items() if key != "links"}
    assert len([name for name in files if name.startswith("samples/")]) == record["counts"]["samples"]
    # But for the record it is the dataset's own.
    assert archive.content.endswith(client.get(f"/v1/datasets/{finished}/archive").content)
    sample = client.get(f"{released}/samples/S0000001_0001")
    assert sample.content == files["samples/S0000001/S0000001_0001.png"]


@pytest.mark.parametrize(
    "what",
    [
        *("manifest", "comparisons", "contact-sheet", "report", "croissant", "data-card", "provenance", "archive"),
        "samples/S0000000_0000",
    ],
)
def test_downloads_are_for_ever(client: TestClient, released: str, what: str) -> None:
    answer = client.get(f"{released}/{what}")
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    etag = answer.headers["etag"]
    assert not etag.startswith("W/")
    assert client.get(f"{released}/{what}", headers={"If-None-Match": etag}).status_code == 304
    part = client.get(f"{released}/{what}", headers={"Range": "bytes=3-9", "If-Range": etag})
    assert (part.status_code, part.content) == (206, answer.content[3:10])
    head = client.head(f"{released}/{what}")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(answer.content)))
    latest = client.get(f"/v1/releases/gate-smoke/latest/{what}")
    assert latest.content == answer.content
    assert latest.headers["cache-control"] == "private, no-cache"


def test_documents_are_the_datasets_own_under_the_releases_name(
    client: TestClient, released: str, finished: str
) -> None:
    for path, filename in (
        ("croissant", "gate-smoke-1.2.0-croissant.json"),
        ("data-card", "gate-smoke-1.2.0-data-card.md"),
        ("provenance", "gate-smoke-1.2.0-provenance.jsonld"),
    ):
        answer = client.get(f"{released}/{path}")
        assert answer.content == client.get(f"/v1/datasets/{finished}/{path}").content
        assert answer.headers["content-disposition"] == f'attachment; filename="{filename}"'
    assert client.get(f"{released}/samples/S0000000_0000/c2pa").status_code == 404


def test_archives_of_two_releases_of_one_dataset_have_two_etags(
    client: TestClient, released: str, finished: str
) -> None:
    client.put("/v1/releases/gate-smoke/1.2.1", json={"dataset": finished})
    etags = {client.get(f"/v1/releases/gate-smoke/1.2.{patch}/archive").headers["etag"] for patch in (0, 1)}
    assert len(etags) == 2


def test_layouts_of_a_release_are_made_on_demand_even_after_its_dataset(
    client: TestClient, released: str, finished: str, memory_store: Any, memory_queue: Any
) -> None:
    assert client.delete(f"/v1/datasets/{finished}").status_code == 204
    memory_queue.wipe()
    answer = client.get(f"{released}/archive?layout=zip")
    assert answer.status_code == 202
    assert memory_queue.sent == [LAYOUT.task("acme", finished, "zip")]
    memory_store.put(DatasetKeys("acme", finished).layout(Layout.ZIP), b"PK made")
    answer = client.get(f"{released}/archive?layout=zip")
    assert (answer.status_code, answer.content) == (200, b"PK made")
    assert answer.headers["content-disposition"] == 'attachment; filename="gate-smoke-1.2.0-zip.zip"'
    assert client.get(f"{released}/archive?layout=lfw").status_code == 422


def test_a_release_outlives_its_dataset(client: TestClient, released: str, finished: str) -> None:
    before = client.get(f"{released}/archive").content
    assert client.delete(f"/v1/datasets/{finished}").status_code == 204
    assert client.get(f"/v1/datasets/{finished}").status_code == 404
    assert client.get(f"/v1/datasets/{finished}/archive").status_code == 404
    assert client.get(f"/v1/datasets/{finished}/samples/S0000000_0000").status_code == 404
    assert client.get("/v1/datasets").json()["datasets"] == []
    assert client.get(f"{released}/archive").content == before
    assert client.put(released, json={"dataset": finished}).status_code == 200
    assert client.put("/v1/releases/gate-smoke/2.0.0", json={"dataset": finished}).status_code == 404


def test_what_is_withdrawn_answers_410_with_the_reason(client: TestClient, released: str, finished: str) -> None:
    digest = client.get(released).json()["digest"]
    assert withdraw(client, confirm="gate-smoke@1.2.1").status_code == 422
    assert withdraw(client, reason="").status_code == 422
    answer = withdraw(client)
    assert answer.status_code == 200
    assert (answer.json()["digest"], answer.json()["reason"]) == (digest, "look-alikes")
    products = ("/manifest", "/comparisons", "/report", "/contact-sheet", "/archive", "/parts")
    documents = ("/croissant", "/data-card", "/provenance")
    for path in ("", *products, *documents, "/samples/S0000000_0000", "/samples/S0000000_0000/c2pa"):
        gone = client.get(f"{released}{path}")
        assert gone.status_code == 410, path
        assert gone.json()["error"] == "Withdrawn"
        assert "look-alikes" in gone.json()["detail"]
    assert client.get(f"{released}/diff?to=1.2.0").status_code == 410
    assert client.get("/v1/releases/gate-smoke/latest").status_code == 404
    assert client.get(f"/v1/releases/by-digest/{digest}").status_code == 404
    assert client.put(released, json={"dataset": finished}).status_code == 409
    assert withdraw(client, reason="another").json() == answer.json()
    listed = client.get("/v1/releases/gate-smoke").json()
    assert listed == {"name": "gate-smoke", "latest": None, "releases": [], "withdrawn": [answer.json()]}
    entries = client.get("/v1/audit").json()["entries"]
    assert {entry["action"] for entry in entries} == {"release.created", "release.withdrawn"}
    assert all(len(entry["by"]) == 16 for entry in entries)


def test_lists_are_paged(client: TestClient, finished: str) -> None:
    for name in ("b", "a", "c"):
        client.put(f"/v1/releases/{name}/1.0.0", json={"dataset": finished})
    client.put("/v1/releases/a/1.1.0-rc.1", json={"dataset": finished})
    page = client.get("/v1/releases?limit=2").json()
    assert page["releases"][0] == {"name": "a", "latest": "1.0.0", "versions": ["1.1.0-rc.1", "1.0.0"], "withdrawn": []}
    rest = client.get(f"/v1/releases?limit=2&after={page['next']}").json()
    assert ([item["name"] for item in rest["releases"]], rest["next"]) == (["c"], None)
    digest = client.get("/v1/releases/b/1.0.0").json()["digest"]
    found = client.get(f"/v1/releases/by-digest/{digest}").json()["releases"]
    assert {(item["name"], item["version"]) for item in found} == {
        ("a", "1.0.0"),
        ("a", "1.1.0-rc.1"),
        ("b", "1.0.0"),
        ("c", "1.0.0"),
    }
    entries = client.get("/v1/audit?limit=3").json()
    more = client.get(f"/v1/audit?limit=3&after={entries['next']}").json()
    assert len(more["entries"]) == 1


def test_another_tenant_sees_nothing(client: TestClient, stranger: TestClient, released: str, finished: str) -> None:
    digest = client.get(released).json()["digest"]
    for path in (
        released,
        f"{released}/archive",
        f"{released}/parts",
        f"{released}/manifest",
        f"{released}/diff?to=latest",
        "/v1/releases/gate-smoke",
        f"/v1/releases/by-digest/{digest}",
    ):
        assert stranger.get(path).status_code == 404
    assert stranger.put(HERE, json={"dataset": finished}).status_code == 404
    assert withdraw(stranger).status_code == 404
    assert stranger.get("/v1/releases").json()["releases"] == []
    assert stranger.get("/v1/audit").json()["entries"] == []
    assert stranger.get("/v1/retention").json()["datasets"] == []


def test_the_difference_of_two_releases(
    client: TestClient, released: str, submit: Callable[..., str], finish: Callable[[str], None], memory_store: Any
) -> None:
    other = submit(subjects=4, distractors=0, name="gate 8", variability={"scale": 0.5})
    finish(other)
    client.put("/v1/releases/gate-smoke/2.0.0", json={"dataset": other})
    for dataset, fnmr in ((client.get(released).json()["dataset"], 0.01), (other, 0.02)):
        report = {"measures": {"sface": {"fnmr": fnmr, "interval": [0.0, fnmr], "det": list(range(99))}}, "same": 1}
        memory_store.put(f"tenants/acme/datasets/{dataset}/report.json", json.dumps(report).encode())
    found = client.get(f"{released}/diff?to=2.0.0").json()
    assert found == client.get(f"{released}/diff?to=gate-smoke@latest").json()
    assert (found["before"]["version"], found["after"]["version"]) == ("1.2.0", "2.0.0")
    assert not found["same_content"]
    assert not found["same_pixels"]
    assert [change["field"] for change in found["request"]] == ["distractors", "subjects", "variability.scale"]
    assert found["model"] == []
    assert {change["after"] for change in found["sigma"]} == {0.5}
    # The fourth subject was a distractor with one sample.
    assert found["samples"]["added"] == {"count": 1, "first": ["S0000003_0001"]}
    assert found["samples"]["relabelled"]["first"] == ["S0000003_0000"]
    assert found["subjects"] == {
        "added": {"count": 0, "first": []},
        "removed": {"count": 0, "first": []},
        "changed": {"count": 1, "first": ["S0000003"]},
        "unchanged": 3,
    }
    assert found["measures"] == [
        {"field": "measures.sface.fnmr", "before": 0.01, "after": 0.02},
        {"field": "measures.sface.interval", "before": [0.0, 0.01], "after": [0.0, 0.02]},
    ]
    same = client.get(f"{released}/diff?to=1.2.0").json()
    assert same["same_content"]
    assert same["samples"]["unchanged"] == 7
    assert same["subjects"]["unchanged"] == 4


@pytest.mark.parametrize(("to", "status"), [("3.0.0", 404), ("nonsense", 422), ("other@1.0.0", 404), ("", 422)])
def test_a_difference_to_nothing(client: TestClient, released: str, to: str, status: int) -> None:
    answer = client.get(f"{released}/diff", params={"to": to})
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["detail"].startswith("to: ")


def test_retention_is_shown(client: TestClient, submit: Callable[..., str], finish: Callable[[str], None]) -> None:
    dataset = submit(retention_days=30)
    assert client.get(f"/v1/datasets/{dataset}").json()["expires_at"] is None
    finish(dataset)
    [shown] = client.get("/v1/retention").json()["datasets"]
    assert (shown["dataset"], shown["retention_days"], shown["due"]) == (dataset, 30, False)
    assert client.get(f"/v1/datasets/{dataset}").json()["expires_at"] == shown["expires_at"]


def test_who_deleted_a_dataset_is_told(client: TestClient, finished: str) -> None:
    client.delete(f"/v1/datasets/{finished}")
    [entry] = client.get("/v1/audit").json()["entries"]
    assert (entry["action"], entry["subject"]) == ("dataset.deleted", finished)
    assert entry["by"] == client.headers["authorization"].split("_")[1]


def test_every_call_answers_503_when_the_store_is_down(
    client: TestClient, released: str, finished: str, memory_store: Any
) -> None:
    memory_store.fault = lambda operation, key: StoreUnavailable("the object store does not answer")
    for method, path in (
        ("GET", "/v1/releases"),
        ("GET", "/v1/releases/gate-smoke"),
        ("GET", released),
        ("GET", f"{released}/archive"),
        ("GET", f"{released}/manifest"),
        ("GET", f"{released}/diff?to=1.2.0"),
        ("GET", "/v1/audit"),
        ("GET", "/v1/retention"),
        ("GET", f"/v1/releases/by-digest/{'0' * 64}"),
    ):
        assert client.request(method, path).status_code == 503, path
    assert client.put(HERE, json={"dataset": finished}).status_code == 503
    assert withdraw(client).status_code == 503
