"""Croissant by its own reader, PROV-O by an RDF library, the data card by a YAML reader."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pytest
import rdflib
import yaml
from rdflib.namespace import PROV

from app.client.manifest import Manifest
from app.client.verify import verify
from app.dataset.keys import DatasetKeys
from app.dataset.model import ModelCard
from workers.images import pixel_sha256, pixel_sha256_of_file
from workers.provenance.chain import chain
from workers.provenance.licence import OWN_TERMS, licence_urls, spdx

MakeSet = Callable[..., tuple[Path, Any]]
AT = DatasetKeys("acme", "ds_test")


@pytest.fixture
def folder(make_set: MakeSet) -> Path:
    return make_set()[0]


def test_croissants_own_reader_finds_no_fault(folder: Path) -> None:
    read = mlcroissant.Dataset(folder / "croissant.json")
    issues = read.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    assert read.metadata.ctx.is_v1_1()
    assert {node.id for node in read.metadata.file_objects} == {
        "manifest.json",
        "comparisons.csv",
        "contact-sheet.png",
        "report.json",
        "report.html",
        "data-card.md",
        "provenance.jsonld",
    }
    assert read.metadata.ctx.is_live_dataset is False
    assert read.metadata.data_use_cases
    assert read.metadata.data_biases


def test_croissant_says_how_the_images_came_about_as_the_manifest_does(folder: Path) -> None:
    graph = rdflib.Graph().parse(folder / "croissant.json", format="json-ld")
    (said,) = graph.objects(None, rdflib.URIRef("https://schema.org/digitalSourceType"))
    term = json.loads((folder / "manifest.json").read_text())["synthetic"]["digital_source_type"].rpartition("/")[2]
    assert term in ("algorithmicMedia", "trainedAlgorithmicMedia")
    assert str(said) == f"https://schema.org/{term[0].upper()}{term[1:]}DigitalSource"


def test_croissants_own_reader_loads_every_sample_and_its_image(folder: Path) -> None:
    read = mlcroissant.Dataset(folder / "croissant.json")
    images = {record["images/file"].decode(): record["images/image"] for record in read.records("images")}
    records = list(read.records("samples"))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [record["samples/id"].decode() for record in records] == [row["id"] for row in manifest["samples"]]
    assert len(images) == len(records)
    for record, row in zip(records, manifest["samples"], strict=True):
        assert record["samples/subject"].decode() == row["subject"]
        assert record["samples/sex"].decode() == row["attributes"]["sex"]
        assert record["samples/age"] == pytest.approx(row["attributes"]["age"])
        assert bool(record["samples/glasses"]) == row["attributes"]["glasses"]
        image = np.asarray(images[record["samples/file"].decode()].convert("RGB"))
        assert pixel_sha256(image) == row["pixel_sha256"]


def test_croissants_own_reader_loads_the_comparisons(folder: Path) -> None:
    records = list(mlcroissant.Dataset(folder / "croissant.json").records("comparisons"))
    lines = (folder / "comparisons.csv").read_text().splitlines()[1:]
    assert [
        f"{r['comparisons/reference'].decode()},{r['comparisons/probe'].decode()},{r['comparisons/mated']}"
        for r in records
    ] == lines


def test_croissants_own_reader_sees_a_manifest_that_was_changed(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("probe", "Probe"))
    with pytest.raises(mlcroissant.GenerationError) as caught:
        list(mlcroissant.Dataset(folder / "croissant.json").records("samples"))
    assert "not identical" in str(caught.value.__cause__)


def test_every_file_of_the_set_is_pinned(folder: Path) -> None:
    croissant = json.loads((folder / "croissant.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    pinned = {node["@id"]: node["sha256"] for node in croissant["distribution"] if "sha256" in node}
    beside = {path.name for path in folder.iterdir() if path.is_file()}
    assert set(pinned) == beside - {"croissant.json"}
    assert set(manifest["products"]) == beside - {"manifest.json", "comparisons.csv"}
    for name, digest in pinned.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    for name, digest in manifest["products"].items():
        assert digest == pinned.get(name)


def test_verify_sees_a_manifest_that_the_croissant_file_does_not_pin(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"name": "gate-7', '"name": "gate-8'))
    found = verify(folder, Manifest(folder / "manifest.json"), pixel_sha256_of_file)
    assert ("croissant.json", "it is of another manifest") in found.wrong
    (folder / "croissant.json").unlink()
    found = verify(folder, Manifest(folder / "manifest.json"), pixel_sha256_of_file)
    assert ("croissant.json", "it is missing") in found.wrong


def test_verify_names_a_document_that_was_changed(folder: Path) -> None:
    assert verify(folder, Manifest(folder / "manifest.json"), pixel_sha256_of_file).wrong == []
    with (folder / "data-card.md").open("a") as card:
        card.write("and it is real\n")
    found = verify(folder, Manifest(folder / "manifest.json"), pixel_sha256_of_file)
    assert found.wrong == [("data-card.md", "its bytes have another digest")]


def test_the_chain_leads_from_the_dataset_to_the_request_and_the_model(folder: Path, sketch: Any) -> None:
    graph = rdflib.Graph().parse(folder / "provenance.jsonld", format="json-ld")
    dataset = rdflib.URIRef("urn:facsimile:dataset:ds_test")
    origins = set(graph.transitive_objects(dataset, PROV.wasDerivedFrom))
    assert rdflib.URIRef("urn:facsimile:dataset:ds_test:request") in origins
    assert rdflib.URIRef(f"urn:facsimile:model:sha256:{sketch.card.digest}") in origins
    activity = graph.value(dataset, PROV.wasGeneratedBy)
    agent = graph.value(activity, PROV.wasAssociatedWith)
    assert (agent, rdflib.RDF.type, PROV.SoftwareAgent) in graph
    manifest = json.loads((folder / "manifest.json").read_text())
    found = str(graph.value(dataset, rdflib.URIRef("urn:facsimile:1:pixels")))
    assert found == manifest["digests"]["pixels"]


def test_the_chain_goes_on_to_the_corpus_of_a_trained_model(folder: Path, make_set: MakeSet, sketch: Any) -> None:
    raw = sketch.card.model_dump(mode="json")
    trained = ModelCard.model_validate(
        {
            **raw,
            "weights": {"file": "w", "sha256": "a" * 64},
            "training": {"corpus": {"sha256": "c" * 64}},
        }
    )
    _, plan = make_set()
    plan = plan.model_copy(update={"model": plan.model.model_copy(update={"digest": trained.digest})})
    summary = Manifest(folder / "manifest.json").summary
    graph = rdflib.Graph().parse(
        data=json.dumps(chain(summary, plan, trained, plan_sha256="p" * 64, version="0")), format="json-ld"
    )
    origins = set(graph.transitive_objects(rdflib.URIRef("urn:facsimile:dataset:ds_test"), PROV.wasDerivedFrom))
    assert rdflib.URIRef(f"urn:facsimile:corpus:sha256:{'c' * 64}") in origins


def test_the_card_has_a_head_that_yaml_reads_and_says_what_matters(folder: Path, sketch: Any) -> None:
    text = (folder / "data-card.md").read_text()
    _, head, body = text.split("---\n", 2)
    fields = yaml.safe_load(head)
    assert fields["license"] == "other"
    assert fields["spdx"] == OWN_TERMS
    assert fields["size_categories"] == ["n<1K"]
    assert "synthetic" in fields["tags"]
    assert fields["pretty_name"] == "gate-7 | *smoke*"
    assert "# gate-7 \\| \\*smoke\\*" in body
    assert sketch.card.digest in body
    assert "3, and 1 distractors" in body
    for heading in ("What it is for", "What it is not for", "How it was made", "Limits", "Provenance"):
        assert f"## {heading}" in body


def test_licences_are_spdx_or_said_to_be_the_cards_own() -> None:
    assert spdx("apache-2.0 and cc0-1.0") == "Apache-2.0 AND CC0-1.0"
    assert spdx("free for friends") == OWN_TERMS
    assert licence_urls("Apache-2.0 AND CC0-1.0") == [
        "https://spdx.org/licenses/Apache-2.0.html",
        "https://spdx.org/licenses/CC0-1.0.html",
    ]
    assert licence_urls(OWN_TERMS) == []


@pytest.mark.parametrize("name", ["parametric", "sdgan"])
def test_shipped_models_have_spdx_licences(name: str) -> None:
    raw = Path(__file__).parents[2].joinpath("workers/generator/models", name, "card.json").read_text()
    assert spdx(ModelCard.model_validate_json(raw).licence) != OWN_TERMS
