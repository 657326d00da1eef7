"""SD-BEGAN and its importer: the authors' images come out of the authors' weights; nothing is believed unchecked."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.special import ndtri

from app.cli.main import run
from app.config import WorkerSettings
from app.dataset.model import ModelCard
from app.dataset.plan import Plan
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.errors import Conflict, Corrupt, Misconfigured, RequestRefused
from workers.generator.cards import read_card
from workers.generator.registry import default_model, load_generator, model_cards
from workers.generator.sdbegan.generator import load_sdbegan, uniform
from workers.generator.sdbegan.sdgan_web import GRID_TOLERANCE, import_sdgan_web
from workers.images import to_pixels

AUTHORS = Path(os.environ.get("FACSIMILE_SHARED", Path(__file__).parents[4] / "shared")) / "models" / "sdbegan"

LATENTS, CHANNELS, SIDE = 6, 4, 16


def tensors() -> dict[str, np.ndarray]:
    """Small weights in the authors' format: 3 + 3 latents, 4 channels, 16 × 16 pixels."""
    rng = np.random.default_rng(5)

    def normal(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype("<f4")

    made = {
        "G/fully_connected/weights": normal(LATENTS, 64 * CHANNELS),
        "G/fully_connected/biases": normal(64 * CHANNELS),
    }
    for number in range(5):
        layer, outputs = "G/Conv" + (f"_{number}" if number else ""), 3 if number == 4 else CHANNELS
        made |= {f"{layer}/weights": normal(3, 3, CHANNELS, outputs), f"{layer}/biases": normal(outputs) / 10}
    return made


def image(weights: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
    """One image [H, W, 3] in [0, 255], by sums over shifted copies: a second opinion on the network."""
    x = (u @ weights["G/fully_connected/weights"] + weights["G/fully_connected/biases"]).reshape(CHANNELS, 8, 8)
    x = x.transpose(1, 2, 0)
    for number in range(5):
        if number == 2:
            x = x.repeat(2, 0).repeat(2, 1)
        layer = "G/Conv" + (f"_{number}" if number else "")
        wide = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        kernel = weights[f"{layer}/weights"]
        x = weights[f"{layer}/biases"] + sum(
            wide[row : row + x.shape[0], column : column + x.shape[1]] @ kernel[row, column]
            for row in range(3)
            for column in range(3)
        )
        if number < 4:
            x = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    return ((x + 1) * 127.5).clip(0, 255)


def write(folder: Path, values: dict[str, np.ndarray]) -> dict[str, Any]:
    """Write raw files and their manifest; returns the manifest."""
    folder.mkdir(exist_ok=True)
    manifest = {
        name: {"filename": name.replace("/", "_"), "shape": list(value.shape)} for name, value in values.items()
    }
    for name, value in values.items():
        (folder / name.replace("/", "_")).write_bytes(value.astype("<f4").tobytes())
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "LICENSE.txt").write_text("a licence")
    return manifest


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Small random weights with the grid that belongs to them."""
    weights, rng = tensors(), np.random.default_rng(6)
    who, how = (rng.uniform(-1, 1, (count, LATENTS // 2)).astype(np.float32) for count in (2, 3))
    grid = np.array([[image(weights, np.concatenate([a, b])) for b in how] for a in who], np.float32)
    write(tmp_path / "web", {**weights, "fig1/grid_zis": who, "fig1/grid_zos": how, "fig1/grid_Gzs": grid})
    return tmp_path / "web"


@pytest.fixture
def folder(source: Path, tmp_path: Path) -> Path:
    return import_sdgan_web(source, tmp_path / "models").folder


def settings(folder: Path, **more: Any) -> WorkerSettings:
    return WorkerSettings(models_dir=str(folder.parent), **more)


# --- what it is for ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not AUTHORS.is_dir(), reason=f"{AUTHORS} is not here: set FACSIMILE_SHARED to what holds models/")
def test_the_authors_own_grid_comes_out_of_the_authors_weights(tmp_path: Path) -> None:
    found = import_sdgan_web(AUTHORS, tmp_path)
    assert found.grid_difference is not None
    assert found.grid_difference <= GRID_TOLERANCE == 0.01
    # The same again through all that a worker does: the stored model, the registry, our latents.
    generator = load_generator("sdbegan", settings(found.folder))
    who, how = (
        np.fromfile(AUTHORS / f"fig1_grid_{name}", "<f4").reshape(4, 50).astype(np.float64) for name in ("zis", "zos")
    )
    grid = np.fromfile(AUTHORS / "fig1_grid_Gzs", "<f4").reshape(16, 64, 64, 3)
    ours = (ndtri((u + 1) / 2).astype(np.float32) for u in (np.repeat(who, 4, 0), np.tile(how, (4, 1))))
    images = generator.generate(*ours, 64, 64)
    assert np.abs((images + 1) * 127.5 - grid).max() <= 0.01
    assert generator.card.latent.identity == generator.card.latent.observation_size == 50
    assert (generator.card.model_extra or {})["parameters"] == 2_011_523


def test_small_weights_give_the_images_that_a_second_opinion_gives(source: Path, tmp_path: Path) -> None:
    found = import_sdgan_web(source, tmp_path / "models", "small")
    assert found.grid_difference is not None
    assert found.grid_difference < 1e-3
    generator = load_sdbegan(found.folder, "cpu")
    rng = np.random.default_rng(8)
    who, how = (rng.standard_normal((2, 3), np.float32) for _ in range(2))
    images = generator.generate(who, how, SIDE, SIDE)
    assert images.dtype == np.float32
    expected = [image(tensors(), uniform(np.concatenate([a, b]))) for a, b in zip(who, how, strict=True)]
    assert np.abs((images + 1) * 127.5 - expected).max() < 1e-3
    assert to_pixels(images).std() > 1, "a blank picture would prove nothing"


def test_a_sample_is_the_same_in_every_batch_and_place(folder: Path) -> None:
    generator = load_sdbegan(folder, "cpu")
    rng = np.random.default_rng(1)
    who, how = (rng.standard_normal((19, 3), np.float32) for _ in range(2))
    whole = generator.generate(who, how, SIDE, SIDE)
    singly = np.concatenate([generator.generate(who[k : k + 1], how[k : k + 1], SIDE, SIDE) for k in range(19)])
    assert (whole == singly).all()
    assert generator.generate(who[:0], how[:0], SIDE, SIDE).shape == (0, SIDE, SIDE, 3)
    with pytest.raises(ValueError, match="does not make 64×64"):
        generator.generate(who, how, 64, 64)


def test_latents_become_uniform_and_sigma_never_leaves_the_range() -> None:
    z = np.random.default_rng(2).standard_normal(40_000).astype(np.float32)
    u = np.sort(uniform(z))
    assert np.abs(u - np.linspace(-1, 1, len(u))).max() < 0.03
    for sigma in (0.25, 0.5, 1.0, 2.0, 4.0):
        spread = uniform(np.float32(sigma) * z)
        assert np.abs(spread).max() <= 1
        assert spread.std() == pytest.approx(np.sqrt(2 / np.pi * np.arcsin(sigma**2 / (1 + sigma**2))), abs=0.01)
    assert (uniform(np.zeros(3, np.float32)) == 0).all()


# --- behind the service -----------------------------------------------------------------------------------------


def test_it_is_offered_beside_the_others_and_is_never_the_default(folder: Path) -> None:
    assert "sdbegan" in {card.name for card in model_cards(settings(folder))}
    assert default_model(settings(folder)) != "sdbegan"
    with pytest.raises(Misconfigured, match="may not be the default: it was trained on photographs of real people"):
        default_model(settings(folder, default_model="sdbegan"))


@pytest.mark.parametrize("name", ["default", "parametric", "sdgan", "../x", "", "Big", "a" * 65, "x\n"])
def test_a_name_that_would_hide_a_model_or_lead_elsewhere_is_refused(source: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestRefused, match="cannot name a model"):
        import_sdgan_web(source, tmp_path / "models", name)
    assert not (tmp_path / "models").exists()


def planned(card: ModelCard, **asked: Any) -> Plan:
    """A plan of two subjects with two samples each, or a refusal."""
    unchecked = {"checks": {"unique": False, "face_found": False}}
    request = DatasetRequest.model_validate(
        {"name": "t", "subjects": 2, "samples_per_subject": 2, **unchecked, **asked}
    )
    return make_plan(request, card, dataset="ds_test", seed=7, shard_size=200, max_comparisons=10**9)


def test_requests_for_what_it_has_not_are_refused(folder: Path) -> None:
    card = read_card(folder)
    assert planned(card, variability={"factors": {"residual": 0.5}}).sigma == {"residual": 0.5}
    for wish, field in (
        ({"attributes": {"sex": {"female": 0.5, "male": 0.5}}}, "attributes.sex"),
        ({"variability": {"factors": {"pose": 0.5}}}, "variability.factors.pose"),
        ({"checks": {"unique": True, "face_found": True}}, "checks.unique"),
        ({"image": {"size": 128}}, "image.size"),
    ):
        with pytest.raises(RequestRefused) as refused:
            planned(card, **wish)
        assert [name for name, _ in refused.value.problems] == [field]


def test_the_command_says_where_the_model_is_and_what_is_wrong_with_it(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["models", "import", "sdgan-web", str(source), "--out", str(tmp_path / "models"), "--name", "theirs"]
    assert run(command) == 0
    told = capsys.readouterr()
    assert "model theirs 1.0" in told.out
    assert "grid comes out of it" in told.out
    assert "MS-Celeb-1M" in told.err
    assert load_generator("theirs", WorkerSettings(models_dir=str(tmp_path / "models"))).card.name == "theirs"
    assert run(command) == 1
    assert "exists already" in capsys.readouterr().err
    assert run(["models", "import", "sdgan-web", str(tmp_path / "nowhere"), "--out", str(tmp_path)]) == 2


def test_an_existing_model_is_left_alone(folder: Path, source: Path) -> None:
    before = (folder / "card.json").read_bytes()
    with pytest.raises(Conflict, match="exists already"):
        import_sdgan_web(source, folder.parent)
    assert (folder / "card.json").read_bytes() == before


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.fixture
def refused(source: Path, tmp_path: Path) -> Callable[[str], None]:
    """Checks that an import is refused with such a message, and that it leaves nothing behind."""

    def check(match: str) -> None:
        with pytest.raises(Corrupt, match=match):
            import_sdgan_web(source, tmp_path / "refused")
        assert not (tmp_path / "refused").exists()

    return check


def change(source: Path, name: str, **entry: Any) -> None:
    """Change or add an entry of the manifest."""
    path = source / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest[name] = {**manifest.get(name, {}), **entry}
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("size", [0, 3, 143, 145, 10_000])
def test_a_file_of_another_size_is_refused(source: Path, refused: Callable[[str], None], size: int) -> None:
    path = source / "G_Conv_weights"
    path.write_bytes((path.read_bytes() * 20)[:size])
    refused(f"G_Conv_weights has {size:,} bytes; the shape .* of G/Conv/weights takes 576")


def test_an_oversized_file_is_refused_unread(source: Path, refused: Callable[[str], None]) -> None:
    os.truncate(source / "G_Conv_weights", 2**40)  # sparse
    refused("G_Conv_weights has 1,099,511,627,776 bytes")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(source: Path, refused: Callable[[str], None], value: float) -> None:
    path = source / "G_Conv_2_biases"
    values = np.fromfile(path, "<f4")
    values[1] = value
    values.tofile(path)
    refused("G/Conv_2/biases holds values that are not finite")


def test_a_missing_or_extra_file_is_named(source: Path, refused: Callable[[str], None]) -> None:
    (source / "more.py").write_text("raise SystemExit")
    refused(r"holds 'more\.py', of which its manifest says nothing")
    (source / "more.py").unlink()
    (source / "G_Conv_1_biases").unlink()
    refused("G_Conv_1_biases, the file of G/Conv_1/biases, cannot be read")


def test_a_missing_or_extra_tensor_is_named(source: Path, refused: Callable[[str], None]) -> None:
    good = json.loads((source / "manifest.json").read_text())
    for name in ("G/Conv_1/biases", "fig1/grid_zos"):
        less = {key: value for key, value in good.items() if key != name}
        (source / "manifest.json").write_text(json.dumps(less))
        (source / name.replace("/", "_")).rename(source.parent / "aside")
        refused(f"manifest.json lacks {name}")
        (source.parent / "aside").rename(source / name.replace("/", "_"))
    (source / "manifest.json").write_text(json.dumps(good))
    (source / "extra").write_bytes(bytes(4))
    change(source, "G/Conv_7/biases", filename="extra", shape=[1])
    refused("lists G/Conv_7/biases, which the authors' SD-BEGAN does not have")


@pytest.mark.parametrize(
    "file", ["../secret", "/etc/passwd", "a/b", "..", ".", "", "C:\\x", "a\0b", "manifest.json", 7, None, ["x"]]
)
def test_a_file_name_that_leads_elsewhere_is_refused(source: Path, refused: Callable[[str], None], file: Any) -> None:
    (source.parent / "secret").write_bytes(bytes(576))
    change(source, "G/Conv/weights", filename=file)
    refused("G/Conv/weights names the file")


def test_links_and_pipes_are_refused(source: Path, refused: Callable[[str], None]) -> None:
    path = source / "G_Conv_weights"
    path.rename(source.parent / "elsewhere")
    path.symlink_to(source.parent / "elsewhere")
    refused("G_Conv_weights, the file of G/Conv/weights, is not a regular file")
    path.unlink()
    os.mkfifo(path)
    refused("is not a regular file")


def test_two_tensors_of_one_file_are_refused(source: Path, refused: Callable[[str], None]) -> None:
    (source / "G_Conv_1_biases").unlink()
    change(source, "G/Conv_1/biases", filename="G_Conv_biases")
    refused("gives G/Conv/biases and G/Conv_1/biases the same file")


@pytest.mark.parametrize(
    "shape",
    [[], [0], [-4], [1.5], [True, 4], ["4"], "4", None, [[4]], [2**62, 2**62], [1] * 9, [10**30], [2**28, 2**28]],
)
def test_an_absurd_shape_is_refused_before_anything_is_read(
    source: Path, refused: Callable[[str], None], shape: Any
) -> None:
    change(source, "G/Conv/biases", shape=shape)
    refused("manifest.json: G/Conv/biases (has the shape .* it must be|would have .* bytes; at most)")


@pytest.mark.parametrize("shape", [[2, 2], [1, 4], [4, 1]])
def test_a_shape_that_fits_the_file_and_not_the_network_is_refused(
    source: Path, refused: Callable[[str], None], shape: list[int]
) -> None:
    change(source, "G/Conv/biases", shape=shape)
    refused(r"G/Conv/biases has the shape \[.*\]; it should be \[4\]")


def test_a_network_that_cannot_be_is_refused_before_it_is_made(source: Path, refused: Callable[[str], None]) -> None:
    for number in range(5, 61):
        file = f"G_Conv_{number}_weights"
        (source / file).write_bytes(bytes(576))
        change(source, f"G/Conv_{number}/weights", filename=file, shape=[3, 3, CHANNELS, CHANNELS])
    refused("speaks of a network that cannot be: resolution")
    for file in source.iterdir():
        file.unlink()
    write(source, {"G/fully_connected/weights": np.zeros((4096, 2)), "G/Conv/weights": np.zeros((3, 3, 2, 3))})
    refused("speaks of a network that cannot be: identity 2048")


def test_weights_that_do_not_make_the_grid_are_refused(source: Path, refused: Callable[[str], None]) -> None:
    one, two = source / "G_Conv_1_weights", source / "G_Conv_weights"
    one.rename(source / "x")
    two.rename(one)
    (source / "x").rename(two)
    refused(r"the authors' grid fig1/grid_Gzs does not come out of these weights")


def test_weights_alone_are_taken_and_the_missing_proof_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "bare", tensors())
    assert run(["models", "import", "sdgan-web", str(tmp_path / "bare"), "--out", str(tmp_path / "models")]) == 0
    assert "nothing shows that the images are theirs" in capsys.readouterr().out
    imported = (read_card(tmp_path / "models" / "sdbegan").model_extra or {})["imported"]
    assert imported == {"from": "sdgan-web", "grid": "not beside the weights"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a": 1, "a": 2}',
        b'{"G/Conv/weights": 7}',
        b'{"G/Conv/weights": {"filename": "x"}}',
        b'{"x": {"filename": "G_Conv_weights", "shape": [3], "dtype": "O"}}',
        b" " * (2**20 + 1),
        b"{}",
    ],
)
def test_a_manifest_that_is_none_is_refused(source: Path, refused: Callable[[str], None], text: bytes) -> None:
    (source / "manifest.json").write_bytes(text)
    refused(r"manifest\.json|of which its manifest says nothing")


def test_a_pickle_is_never_opened(source: Path, tmp_path: Path, refused: Callable[[str], None]) -> None:
    struck = tmp_path / "struck"

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (struck,))

    good = (source / "G_Conv_weights").read_bytes()
    trap = pickle.dumps(Trap())
    (source / "G_Conv_weights").write_bytes(trap)
    refused("G_Conv_weights has")
    torch.save({"trap": Trap()}, source / "G_Conv_weights")
    refused("G_Conv_weights has")
    # Of the right size it is but numbers, and they do not make the authors' images.
    (source / "G_Conv_weights").write_bytes((trap + good)[: len(good)])
    refused("does not come out of these weights|not finite")
    (source / "G_Conv_weights").write_bytes(good)
    (source / "manifest.json").write_bytes(trap)
    refused("is not a manifest")
    assert not struck.exists()


def test_a_folder_that_cannot_be_written_leaves_nothing(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Misconfigured, match="cannot be written"):
        import_sdgan_web(source, tmp_path / "file" / "models")


@pytest.mark.parametrize(
    ("change_card", "match"),
    [
        ({"sizes": [[64, 64]]}, r"offers the sizes \(\(64, 64\),\); its model makes 16×16 only"),
        (
            {"latent": {"identity": 4, "observation": {"residual": [0, 3]}}},
            "offers latents that its model does not have",
        ),
        ({"latent": {"identity": 3, "observation": {"pose": [0, 3]}}}, "offers latents that its model does not have"),
        ({"attributes": {"glasses": {"kind": "share", "latent": 0, "threshold": 0.0}}}, "offers attributes"),
        ({"architecture": {"identity": 3, "observation": 3, "channels": 8, "resolution": 16}}, "architecture wants"),
        (
            {"architecture": {"identity": 3, "observation": 3, "channels": 10**9, "resolution": 16}},
            "cannot be: channels",
        ),
        ({"architecture": {"identity": 3, "observation": 3, "channels": "4", "resolution": 16}}, "whole numbers"),
        ({"architecture": {"identity": 3, "observation": 3, "channels": 4}}, "whole numbers"),
        ({"architecture": None}, "whole numbers"),
        ({"weights": None}, "names no weights"),
    ],
)
def test_a_card_that_does_not_fit_its_weights_is_refused(folder: Path, change_card: Any, match: str) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **change_card}))
    with pytest.raises(Corrupt, match=match):
        load_sdbegan(folder, "cpu")
