"""Matchers by name: ours, those of packages, and ONNX files with cards, each refused clearly where it is wrong."""

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.external_data_helper
import onnx.helper
import pytest
from onnx import numpy_helper

from app.config import WorkerSettings
from app.errors import Corrupt, Misconfigured
from workers.images import Pixels
from workers.matchers import registry
from workers.matchers.alignment import TEMPLATE_112
from workers.matchers.base import Role
from workers.matchers.comparison import COSINE
from workers.matchers.detector import network_file
from workers.matchers.extraction import extract_many
from workers.matchers.onnx import load_onnx_matcher, read_matcher_card
from workers.matchers.registry import load_judge, load_matcher, matcher_cards, matcher_names
from workers.matchers.sface import FILE, SHA256, SFace, load_sface

CARD = {
    "name": "gate-7",
    "version": "2.1",
    "file": "gate7.onnx",
    "sha256": SHA256,
    "input": "data",
    "size": 112,
    "colour": "rgb",
    "alignment": "arcface",
    "dimensions": 128,
    "metric": "cosine",
    "provenance": "SFace's own file, for tests",
}

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Lays SFace's own file beside a card with other fields; returns the matcher's folder."""

    def lay(data: bytes | None = None, **fields: Any) -> Path:
        folder = tmp_path / "matchers" / "gate-7"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(network_file(FILE), folder / "gate7.onnx")
        if data is not None:
            (folder / "gate7.onnx").write_bytes(data)
            fields["sha256"] = hashlib.sha256(data).hexdigest()
        card = {name: value for name, value in {**CARD, **fields}.items() if value is not None}
        (folder / "card.json").write_text(json.dumps(card))
        return folder

    return lay


def test_a_users_onnx_file_gives_the_built_in_matchers_templates(
    install: Install, pairs: tuple[list[Pixels], list[Pixels]]
) -> None:
    settings = WorkerSettings(matchers_dir=str(install().parent))
    assert matcher_names(settings)[-1] == "gate-7"
    matcher = load_matcher("gate-7", settings)
    assert matcher is load_matcher("gate-7", settings)
    ours = extract_many(load_sface(), pairs[0][:4], Role.PROBE)
    theirs = extract_many(matcher, pairs[0][:4], Role.PROBE)
    assert (theirs.templates == ours.templates).all()
    assert (matcher.digest, matcher.score) == (SHA256, COSINE)


def test_the_cards_colours_scale_and_points_are_followed(
    install: Install, pairs: tuple[list[Pixels], list[Pixels]]
) -> None:
    pixels = pairs[0][0]
    face = load_sface().detect(pixels)
    assert face is not None
    chip = load_sface().align(pixels, face)
    same = load_onnx_matcher(install(alignment=TEMPLATE_112.tolist()))
    assert (same.align(pixels, face) == chip).all()
    swapped = load_onnx_matcher(install(colour="bgr"))
    assert (swapped.template(chip) == load_sface().template(chip[..., ::-1])).all()
    dimmed = load_onnx_matcher(install(mean=[10, 20, 30], scale=0.5, metric="minus-euclidean"))
    other = load_onnx_matcher(install(metric="minus-euclidean"))
    assert not np.allclose(dimmed.template(chip), other.template(chip))
    assert other.template(chip) == pytest.approx(load_sface().embed(chip), abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sha256": "0" * 64}, r"gate7.onnx has SHA-256 .* says 000000000000…"),
        ({"file": "other.onnx"}, r"other.onnx is missing; .*card.json names it"),
        ({"file": "../../gate7.onnx"}, r"card.json is not a matcher's card: file"),
        ({"file": "weights.pkl"}, r"card.json is not a matcher's card: file"),
        ({"dimensions": 512}, r"gate7.onnx gives 128 numbers and its card says 512"),
        ({"input": "pixels"}, r"gate7.onnx cannot be run as the ONNX network"),
        ({"output": "nothing"}, r"gate7.onnx cannot be run as the ONNX network"),
        ({"metric": "manhattan"}, r"card: metric"),
        ({"alignment": [[1, 2]]}, r"card: alignment"),
        ({"provenance": None}, r"card: provenance: Field required"),
        ({"treshold": 0.4}, r"card: treshold: Extra inputs"),
        ({"name": "gate-8"}, r"its folder must have the same name"),
        ({"scale": float("nan")}, r"card: scale"),
        ({"scale": float("inf")}, r"card: scale"),
        ({"mean": [0, float("-inf"), 0]}, r"card: mean"),
        ({"alignment": [[1, 2], [3, 4], [5, 6], [7, 8], [9, float("nan")]]}, r"card: alignment"),
    ],
)
def test_what_is_wrong_with_a_card_or_its_file_is_said(install: Install, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Corrupt, match=message):
        load_onnx_matcher(install(**fields))


def test_a_network_that_cannot_take_the_cards_size_is_refused(install: Install) -> None:
    with pytest.raises(Corrupt, match=r"gate7\.onnx"):
        load_onnx_matcher(install(size=64))


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "text"])
def test_a_corrupted_onnx_file_is_named(install: Install, damage: str) -> None:
    data = network_file(FILE).read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, 5_000, np.uint8).tobytes()
    folder = install({"cut": data[:300_000], "noise": noise, "empty": b"", "text": b"not an ONNX file"}[damage])
    with pytest.raises(Corrupt, match=r"gate7\.onnx cannot be run"):
        load_onnx_matcher(folder)


def with_weights_outside(place: str, location: str) -> bytes:
    """An ONNX file that adds a tensor from another file; `place` says where in the graph it hides."""
    values = numpy_helper.from_array(np.ones((1, 3, 112, 112), np.float32), "values")
    onnx.external_data_helper.set_external_data(values, location)
    values.ClearField("raw_data")
    source: list[Any] = []
    if place == "constant":
        source = [onnx.helper.make_node("Constant", [], ["values"], value=values)]
    if place == "branch":
        inner = onnx.helper.make_node("Constant", [], ["inner"], value=values)
        out = onnx.helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, [1, 3, 112, 112])
        graph = onnx.helper.make_graph([inner], "branch", [], [out])
        yes = onnx.helper.make_tensor("yes", onnx.TensorProto.BOOL, [], [True])
        source = [
            onnx.helper.make_node("Constant", [], ["yes"], value=yes),
            onnx.helper.make_node("If", ["yes"], ["values"], then_branch=graph, else_branch=graph),
        ]
    nodes = [*source, onnx.helper.make_node("Add", ["data", "values"], ["out"])]
    shape = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 112, 112]) for name in ("data",)]
    out = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [1, 3, 112, 112])
    graph = onnx.helper.make_graph(nodes, "g", shape, [out], [values] if place == "initializer" else [])
    return bytes(onnx.helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize("place", ["initializer", "constant", "branch"])
@pytest.mark.parametrize("location", ["external.data", "../outside.data", "/etc/hostname"])
def test_weights_in_another_file_are_refused_before_they_are_opened(
    install: Install, place: str, location: str
) -> None:
    folder = install(with_weights_outside(place, location))
    (folder / "external.data").write_bytes(np.ones(3 * 112 * 112, np.float32).tobytes())
    with pytest.raises(Corrupt, match=rf"gate7\.onnx keeps weights in another file \('{location}'\)"):
        load_onnx_matcher(folder)
    with pytest.raises(Corrupt, match="in another file"):
        matcher_cards(WorkerSettings(matchers_dir=str(folder.parent)))


def test_a_card_that_is_no_json_is_named(install: Install) -> None:
    folder = install()
    (folder / "card.json").write_text("{")
    with pytest.raises(Corrupt, match=r"card\.json is not a matcher's card"):
        read_matcher_card(folder)
    (folder / "card.json").unlink()
    with pytest.raises(Corrupt, match=r"card\.json cannot be read"):
        read_matcher_card(folder)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="FACSIMILE_WORKER__MATCHERS_DIR"):
        matcher_names(WorkerSettings(matchers_dir=str(tmp_path / "none")))


def test_names_are_known_and_no_matcher_hides_another(tmp_path: Path) -> None:
    assert matcher_names(WorkerSettings())[:2] == ["sface", "dlib-resnet"]
    with pytest.raises(Misconfigured, match="no matcher 'nobody'; it has sface, dlib-resnet"):
        load_matcher("nobody", WorkerSettings())
    (tmp_path / "sface").mkdir()
    (tmp_path / "sface" / "card.json").write_text("{}")
    with pytest.raises(Misconfigured, match="one of that name already"):
        matcher_names(WorkerSettings(matchers_dir=str(tmp_path)))


def test_another_network_judges_than_the_one_that_filtered() -> None:
    pytest.importorskip("dlib", reason="dlib-bin is not installed")
    for name in ("sface", "dlib-resnet"):
        assert load_judge(name, WorkerSettings()).name != name


class Mine(SFace):
    """A matcher of a user's own, as a package would bring it."""

    name = "mine"

    def __init__(self) -> None:
        super().__init__(network_file(FILE))


class Nameless(Mine):
    name = "another"


class NoMatcher:
    name = "mine"


class Broken:
    def __init__(self) -> None:
        raise OSError("its licence has run out")


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a class of this module look like an entry point of an installed package."""
    registry._load_entry_point.cache_clear()

    def install(value: type | str, name: str = "mine") -> None:
        point = EntryPoint(name, value if isinstance(value, str) else f"mine:{value.__name__}", registry.GROUP)
        if not isinstance(value, str):
            monkeypatch.setattr(EntryPoint, "load", lambda self: value)
        monkeypatch.setattr(registry, "entry_points", lambda group: [point])

    return install


def test_a_packages_matcher_is_found(offer: Any) -> None:
    offer(Mine)
    assert matcher_names(WorkerSettings()) == ["sface", "dlib-resnet", "mine"]
    assert isinstance(load_matcher("mine", WorkerSettings()), Mine)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (NoMatcher, "is no matcher: it lacks align, compare, compare_pairs, detect, digest, dimensions"),
        (Nameless, "calls itself 'another'"),
        (Broken, "cannot be loaded: OSError: its licence has run out"),
        ("no_such_module:Mine", "of no_such_module:Mine cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_packages_bad_matcher_is_named(offer: Any, value: Any, message: str) -> None:
    offer(value)
    with pytest.raises(Misconfigured, match=message):
        load_matcher("mine", WorkerSettings())


def test_a_package_cannot_hide_a_built_in_matcher(offer: Any) -> None:
    offer(Mine, name="sface")
    with pytest.raises(Misconfigured, match="one of that name already"):
        load_matcher("sface", WorkerSettings())
