"""How the images came about, as readers that know nothing of us find it in every file of the shipped models' sets."""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import c2pa
import defusedxml.ElementTree
import pytest
import rdflib
from PIL import Image

from app.config import WorkerSettings
from workers.pipeline.thumbnails import ThumbnailSheet

MakeSet = Callable[..., tuple[Path, Any]]
TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
TRUE_OF = {"parametric": "algorithmicMedia", "sdgan": "trainedAlgorithmicMedia"}
"""`parametric` draws by formula and was trained on nothing; `sdgan` learned from drawings."""


@pytest.fixture(scope="module", params=sorted(TRUE_OF))
def model(request: pytest.FixtureRequest) -> Any:
    """A shipped model, loaded."""
    if request.param == "parametric":
        return request.getfixturevalue("renderer")
    from workers.generator.registry import load_generator

    return load_generator(request.param, WorkerSettings(device="cpu"))


@pytest.mark.parametrize(("image", "form"), [({"format": "png"}, True), ({"format": "jpeg"}, "detached")])
def test_every_file_of_a_shipped_models_set_has_the_term_that_is_true_of_it(
    make_set: MakeSet, model: Any, image: dict[str, Any], form: Any
) -> None:
    term = TRUE_OF[model.card.name]
    folder, plan = make_set(
        generator=model, c2pa=form, subjects=1, distractors=0, image={"size": 64, **image}, model=model.card.name
    )
    samples = sorted(path for path in folder.glob("samples/*/*") if path.suffix != ".c2pa")
    assert len(samples) == 2
    for path in samples:
        data = path.read_bytes()
        assert set(in_the_file(data)) == {TERMS + term}
        assert model.card.name in Image.open(io.BytesIO(data)).getexif()[0x010E]
        beside = path.with_suffix(".c2pa").read_bytes() if form == "detached" else None
        assert list(in_c2pa(data, f"image/{image['format']}", beside)) == [TERMS + term]
    assert list(in_the_file((folder / "contact-sheet.png").read_bytes())) == [TERMS + term]
    assert set(in_the_file(ThumbnailSheet(plan, 0).encode())) == {TERMS + term}

    assert json.loads((folder / "manifest.json").read_text())["synthetic"]["digital_source_type"] == TERMS + term
    graph = rdflib.Graph().parse(folder / "croissant.json", format="json-ld")
    croissants = set(graph.objects(None, rdflib.URIRef("https://schema.org/digitalSourceType")))
    assert croissants == {rdflib.URIRef(f"https://schema.org/{term[0].upper()}{term[1:]}DigitalSource")}
    assert f"IPTC `{term}`" in (folder / "data-card.md").read_text()

    for document in folder.glob("*.*"):
        said = {word.lower() for word in re.findall(r"[A-Za-z]*lgorithmicMedia", document.read_text(errors="replace"))}
        assert said <= {term.lower(), f"{term}DigitalSource".lower()}, document.name


@pytest.mark.parametrize("name", sorted(TRUE_OF))
def test_the_sheets_that_models_are_shipped_with_have_it_too(name: str) -> None:
    shipped = Path(__file__).parents[2] / "workers/generator/models" / name / "sweep.png"
    assert list(in_the_file(shipped.read_bytes())) == [TERMS + TRUE_OF[name]]


def in_the_file(data: bytes) -> Iterator[str]:
    """Each statement of the source type in an image's own metadata: PNG text, XMP."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        if "DigitalSourceType" in image.info:
            yield image.info["DigitalSourceType"]
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if packet:
        root = defusedxml.ElementTree.fromstring(packet)
        yield from (node.attrib[IPTC] for node in root.iter(f"{RDF}Description"))


def in_c2pa(data: bytes, media_type: str, beside: bytes | None) -> Iterator[str]:
    """Each statement of the source type in the C2PA manifest of a file."""
    with c2pa.Reader(media_type, io.BytesIO(data), beside) as reader:
        store = json.loads(reader.json())
    assert store["validation_state"] == "Valid", store.get("validation_status")
    for item in store["manifests"][store["active_manifest"]]["assertions"]:
        for action in item["data"].get("actions", ()):
            yield action["digitalSourceType"]
