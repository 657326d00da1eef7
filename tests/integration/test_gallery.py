"""Ask for a gallery over REST, and hold the images."""

import csv
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.cli.main import run
from app.dataset.report import Report
from workers.images import decode, pixel_sha256, read_mark

pytestmark = pytest.mark.integration

UNCHECKED = {"unique": False, "face_found": False}
SMALL = {"subjects": 4, "samples_per_subject": 3, "distractors": 2, "seed": 11, "model": "parametric"}


@pytest.fixture(scope="module")
def gallery(service: Any) -> tuple[str, dict[str, Any]]:
    """A small set with every check on."""
    dataset = service.submit(**SMALL, image={"size": 128}, attributes={"sex": {"female": 0.5, "male": 0.5}})
    return dataset, service.finish(dataset)


def test_it_comes_out_as_asked(gallery: tuple[str, dict[str, Any]]) -> None:
    _, manifest = gallery
    assert manifest["counts"]["subjects"] == 4
    assert manifest["counts"]["distractors"] == 2
    assert manifest["counts"]["samples"] == 14
    assert manifest["shortfall"] == []
    sexes = {row["subject"]: row["attributes"]["sex"] for row in manifest["samples"]}
    assert sorted(sexes.values()) == ["female"] * 3 + ["male"] * 3
    assert manifest["checks"]["unique"]["matcher"] == "sface"


def test_the_archive_holds_every_sample_unharmed_and_marked(service: Any, gallery: tuple[str, dict[str, Any]]) -> None:
    dataset, manifest = gallery
    raw = service.http.get(f"/v1/datasets/{dataset}/archive", params={"layout": "plain"}).content
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        files = {member.name.partition("/")[2]: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert json.loads(files["manifest.json"]) == manifest
    for row in manifest["samples"]:
        data = files[row["file"]]
        assert hashlib.sha256(data).hexdigest() == row["file_sha256"]
        assert pixel_sha256(decode(data)) == row["pixel_sha256"]
        mark = read_mark(data)
        assert "/digitalsourcetype/algorithmicMedia" in mark["xmp"], "the default model draws, and learned nothing"
        assert f'facsimile:Dataset="{dataset}"' in mark["xmp"]
        assert f'facsimile:Sample="{row["id"]}"' in mark["xmp"]
        assert manifest["model"]["digest"] in mark["xmp"]
    listed = list(csv.DictReader(io.StringIO(files["comparisons.csv"].decode())))
    assert len(listed) == manifest["comparisons"]["mated"] + manifest["comparisons"]["non_mated"] == 90
    assert all((row["reference"][:8] == row["probe"][:8]) == (row["mated"] == "1") for row in listed)
    assert decode(files["contact-sheet.png"]).shape[2] == 3
    for name, digest in manifest["products"].items():
        # The Croissant file pins the manifest, so the manifest cannot pin it.
        assert name in files if digest is None else hashlib.sha256(files[name]).hexdigest() == digest
    report = Report.model_validate_json(files["report.json"])
    assert report.counts.samples == len(manifest["samples"])
    assert f"<h1>{manifest['name']}</h1>" in files["report.html"].decode()
    page = service.http.get(f"/v1/datasets/{dataset}/report", headers={"Accept": "text/html"})
    assert page.content == files["report.html"]


def test_templates_alone_are_those_of_its_images_and_can_be_searched(
    service: Any, gallery: tuple[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("URL", service.stack.url), ("API_KEY", service.stack.api_key), ("CACHE", str(tmp_path / "c"))):
        monkeypatch.setenv(f"FACSIMILE_{name}", value)
    fields = {**SMALL, "image": {"size": 128}, "attributes": {"sex": {"female": 0.5, "male": 0.5}}}
    dataset = service.submit(**fields, product="templates", matcher="sface", report={"judged_subjects": 4})
    manifest = service.finish(dataset)
    assert manifest["digests"]["pixels"] == gallery[1]["digests"]["pixels"]
    assert manifest["templates"]["failed"] == 0
    shown = service.http.get(f"/v1/datasets/{dataset}").json()
    assert "contact_sheet" not in shown["links"]
    assert service.http.get(shown["links"]["templates"]).status_code == 200
    refused = service.http.get(f"/v1/datasets/{dataset}/samples/S0000000_0000")
    assert refused.status_code == 404
    assert "no images" in refused.json()["detail"]
    assert "images are kept" in service.http.get(f"/v1/datasets/{gallery[0]}/templates").json()["detail"]
    release = service.http.put("/v1/releases/crowd/1.0.0", json={"dataset": dataset}).json()
    assert release["product"] == "templates"
    assert run(["pull", "crowd@1.0.0", "--out", "crowd"]) == 0
    assert run(["verify", "crowd"]) == 0
    service.http.put("/v1/releases/people/1.0.0", json={"dataset": gallery[0]}).raise_for_status()
    assert run(["pull", "people@1.0.0", "--out", "images"]) == 0
    assert run(["match", "images", "--templates", "theirs.npz"]) == 0
    ours, theirs = np.load("crowd/templates.npz"), np.load("theirs.npz")
    assert np.array_equal(ours["templates"], theirs["templates"])
    assert ours["ids"].tolist() == theirs["ids"].tolist()
    assert run(["evaluate", "--templates", "theirs.npz", "--distractors", "crowd/templates.npz"]) == 0
    assert run(["match", "crowd", "--templates", "again.npz"]) == 2


def test_a_single_sample_can_be_fetched(service: Any, gallery: tuple[str, dict[str, Any]]) -> None:
    dataset, manifest = gallery
    row = manifest["samples"][5]
    answer = service.http.get(f"/v1/datasets/{dataset}/samples/{row['id']}")
    assert hashlib.sha256(answer.content).hexdigest() == row["file_sha256"]
    assert answer.headers["content-type"] == "image/png"
    part = service.http.get(f"/v1/datasets/{dataset}/samples/{row['id']}", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, answer.content[10:20])


def disturbed(card: Any) -> dict[str, Any]:
    """What both tests below ask of a model: the smallest images it makes."""
    size = 64 if (64, 64) in card.sizes else card.sizes[0][0]
    return {"subjects": 4, "samples_per_subject": 6, "image": {"size": size}, "variability": {"scale": 1.3}}


@pytest.mark.parametrize("model", ["sdgan", "parametric"])
def test_pixels_do_not_depend_on_workers_shards_or_batches(
    service: Any,
    undisturbed: Callable[..., dict[str, str]],
    pixel_digests: Callable[[dict[str, Any]], dict[str, str]],
    models: dict[str, Any],
    model: str,
) -> None:
    fields = disturbed(models[model])
    dataset = service.submit(**fields, model=model, seed=21, checks=UNCHECKED)
    assert pixel_digests(service.finish(dataset)) == undisturbed(21, model, **fields)


def test_one_worker_one_shard_other_batches(
    lone: Any,
    undisturbed: Callable[..., dict[str, str]],
    pixel_digests: Callable[[dict[str, Any]], dict[str, str]],
    models: dict[str, Any],
) -> None:
    settings = lone.stack.settings()
    assert (lone.stack.workers, settings.worker.batch_size, settings.worker.encoder_threads) == (1, 8, 1)
    for model in ("sdgan", "parametric"):
        fields = disturbed(models[model])
        assert fields["subjects"] * fields["samples_per_subject"] == settings.shard_size
        dataset = lone.submit(**fields, model=model, seed=21, checks=UNCHECKED)
        assert pixel_digests(lone.finish(dataset)) == undisturbed(21, model, **fields)


def test_events_tell_of_progress_to_the_end(service: Any) -> None:
    dataset = service.submit(**SMALL, checks=UNCHECKED)
    told: list[tuple[str, dict[str, Any]]] = []
    with service.http.stream("GET", f"/v1/datasets/{dataset}/events") as stream:
        event = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                told.append((event, json.loads(line[6:])))
    assert told[-1][0] == "end"
    assert told[-1][1]["state"] == "succeeded"
    fractions = [found["progress"]["fraction"] for kind, found in told if kind == "progress"]
    assert fractions == sorted(fractions)


def test_cancelling_stops_what_is_under_way(service: Any) -> None:
    dataset = service.submit(subjects=400, samples_per_subject=5, model="parametric", checks=UNCHECKED)
    service.wait(dataset, lambda found: found["progress"]["samples_done"] > 0)
    answer = service.http.post(f"/v1/datasets/{dataset}/cancel")
    assert answer.json()["state"] == "cancelled"
    at_once = answer.json()["progress"]["samples_done"]
    # Another set is made after it: whoever went on with the cancelled one would have had the time.
    service.finish(service.submit(subjects=3, samples_per_subject=10, model="sdgan", checks=UNCHECKED))
    done = service.show(dataset)["progress"]["samples_done"]
    assert done <= at_once + 2 * 10, "no more than the shard that each of two workers was at"
    service.finish(service.submit(subjects=3, samples_per_subject=10, model="sdgan", checks=UNCHECKED))
    assert service.show(dataset)["progress"]["samples_done"] == done
    assert service.http.get(f"/v1/datasets/{dataset}/manifest").status_code == 409


def test_deleting_leaves_no_object_even_while_it_is_made(service: Any) -> None:
    dataset = service.submit(subjects=60, samples_per_subject=5, model="parametric", checks=UNCHECKED)
    service.wait(dataset, lambda found: found["progress"]["samples_done"] > 0)
    assert service.http.delete(f"/v1/datasets/{dataset}").status_code == 204
    assert service.http.get(f"/v1/datasets/{dataset}").status_code == 404
    # Both workers have put down what they had in hand once they have made something else.
    service.finish(service.submit(subjects=3, samples_per_subject=10, model="sdgan", checks=UNCHECKED))
    assert [key for key in service.keys("") if dataset in key] == []


def test_the_same_key_gives_the_same_dataset(service: Any) -> None:
    body = {"name": "again", "subjects": 2, "samples_per_subject": 2, "checks": UNCHECKED}
    headers = {"Idempotency-Key": "over-and-over"}
    ids = {service.http.post("/v1/datasets", json=body, headers=headers).json()["id"] for _ in range(20)}
    assert len(ids) == 1
    other = service.http.post("/v1/datasets", json={**body, "subjects": 3}, headers=headers)
    assert other.status_code == 409


def test_a_preview_comes_at_once_and_from_the_shelf_the_second_time(service: Any) -> None:
    body = {"model": "sdgan", "subjects": 2, "samples_per_subject": 3, "seed": 5, "variability": {"scale": 0.5}}
    first = service.http.post("/v1/previews", json=body)
    assert first.status_code == 200, first.text
    assert decode(first.content).shape == (2 * 128, 3 * 128, 3)
    again = service.http.get(first.headers["location"])
    assert again.content == first.content
    rows = [decode(service.http.post("/v1/previews", json={**body, "row": row}).content) for row in (0, 1)]
    assert np.array_equal(np.concatenate(rows), decode(first.content)), "rows by themselves are the sheet's"


def test_another_tenant_sees_nothing(service: Any, gallery: tuple[str, dict[str, Any]]) -> None:
    from app.access import ApiKeys
    from app.storage import open_store

    dataset, _ = gallery
    key = ApiKeys(open_store(service.stack.settings().store)).issue("rival", "test")
    rival = httpx.Client(base_url=service.stack.url, headers={"Authorization": f"Bearer {key}"})
    for path in ("", "/manifest", "/archive", "/comparisons", "/contact-sheet", "/report", "/samples/S0000000_0000"):
        assert rival.get(f"/v1/datasets/{dataset}{path}").status_code == 404
    assert rival.delete(f"/v1/datasets/{dataset}").status_code == 404
    assert rival.get("/v1/datasets").json()["datasets"] == []
    assert httpx.get(f"{service.stack.url}/v1/datasets").status_code == 401


def test_what_no_model_honours_is_refused_with_its_field(service: Any) -> None:
    for fields, field in (
        ({"image": {"size": 100}}, "image.size"),
        ({"image": {"size": 1024}}, "image.size"),
        ({"variability": {"factors": {"hat": 1}}}, "variability.factors.hat"),
        ({"attributes": {"age": {"min": 5, "max": 9}}}, "attributes.age"),
        ({"attributes": {"sex": {"female": 0.5, "male": 0.4}}}, "attributes"),
        ({"model": "nobody"}, "model"),
        ({"model": "sdgan", "image": {"size": 256}}, "image.size"),
        ({"subjects": 0}, "subjects"),
        ({"subjects": 1_000_000, "samples_per_subject": 10_000}, "subjects"),
        ({"colour": "red"}, "colour"),
    ):
        answer = service.http.post(
            "/v1/datasets", json={"name": "t", "subjects": 2, "samples_per_subject": 2, **fields}
        )
        assert answer.status_code == 422, (fields, answer.text)
        assert field in answer.json()["detail"]


def test_a_million_samples_are_planned_in_seconds_and_cancelled(service: Any) -> None:
    began = time.monotonic()
    dataset = service.submit(
        subjects=200_000, samples_per_subject=5, comparisons={"selection": "none"}, checks=UNCHECKED
    )
    service.http.post(f"/v1/datasets/{dataset}/cancel").raise_for_status()
    assert service.show(dataset)["progress"]["samples_total"] == 1_000_000
    assert time.monotonic() - began < 30
    assert service.http.delete(f"/v1/datasets/{dataset}").status_code == 204
