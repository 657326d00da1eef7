"""An imported network as a generator: one sample's pixels whatever its batch, σ that moves, cards that may not lie."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.errors import Corrupt
from workers.generator.base import Truncating
from workers.generator.editing.directions import Direction, factors_of, save_directions
from workers.generator.imported.generator import chunk_of, sizes_of
from workers.generator.imported.noise import noise_maps
from workers.generator.progan.network import Architecture as ProGanArchitecture
from workers.generator.registry import FAMILIES
from workers.generator.stylegan1.network import Architecture as StyleGan1Architecture
from workers.generator.stylegan2.network import Architecture as StyleGan2Architecture
from workers.generator.stylegan3.network import Architecture as StyleGan3Architecture
from workers.generator.weights import save_model

ARCHITECTURES = {
    "stylegan1": StyleGan1Architecture(latent=6, mapping=(8, 8), resolution=16, channels=(8, 6, 4)),
    "stylegan2": StyleGan2Architecture(
        latent=6, labels=0, embedding=0, mapping=(8, 8), resolution=128, channels=(8, 6, 4, 4, 3, 2)
    ),
    "stylegan3": StyleGan3Architecture(
        latent=6, labels=2, embedding=4, mapping=(8,), resolution=16, channel_base=64, channel_max=6, layers=4
    ),
    "progan": ProGanArchitecture(latent=6, resolution=16, channels=(8, 6, 4), fused=(False, True)),
}


def write(folder: Path, network: Any, kind: str, **update: Any) -> Path:
    """A model folder with two directions."""
    folder.mkdir(parents=True)
    space, width = ("Z", 6) if kind == "progan" else ("W", 8)
    axes = np.eye(width)
    directions = [
        Direction(name="yaw", factor="pose", space=space, normal=axes[0], unit=0.5, limit=2.0, centre=0.1),
        Direction(name="other", factor="residual", space=space, normal=axes[1], unit=0.5, limit=1.0),
    ]
    card = {
        "name": folder.name,
        "version": "1",
        "kind": kind,
        "description": "drawn for a test",
        "sizes": sizes_of(network.resolution),
        "latent": {"identity": 6, "observation": factors_of(directions, noise=bool(network.noise_sizes))},
        "licence": "CC0-1.0",
        "provenance": "random numbers",
        "architecture": asdict(network.architecture),
        "directions": save_directions(folder, directions),
        **({"label": 1} if network.labels else {}),
        **({} if kind == "progan" else {"truncation": {"psi": 0.7, "cutoff": None}}),
        **update,
    }
    save_model(folder, card, network.state_dict(), torch.float32)
    return folder


@pytest.fixture(scope="module")
def models(drawn: Callable[[str, Any], Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write(root / kind, drawn(kind, a), kind) for kind, a in ARCHITECTURES.items()}


def latents(generator: Any, count: int, sigma: float = 1.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(count)
    who = rng.standard_normal((count, generator.card.latent.identity)).astype(np.float32)
    how = rng.standard_normal((count, generator.card.latent.observation_size)).astype(np.float32)
    return who, (how * sigma).astype(np.float32)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_sample_has_the_same_pixels_in_every_batch(models: dict[str, Path], kind: str) -> None:
    generator = FAMILIES[kind].load(models[kind], "cpu")
    side = generator.card.sizes[0][0]
    who, how = latents(generator, 11)
    whole = generator.generate(who, how, side, side)
    assert whole.shape == (11, side, side, 3)
    assert whole.dtype == np.float32
    assert np.abs(whole).max() <= 1
    for rows in ([3], [10, 3, 0], list(range(10, -1, -1))):
        np.testing.assert_array_equal(generator.generate(who[rows], how[rows], side, side), whole[rows])
    assert not len(generator.generate(who[:0], how[:0], side, side))
    assert np.abs(whole[0] - whole[1]).max() > 0.01


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_sigma_moves_samples_and_nought_is_one_portrait(models: dict[str, Path], kind: str) -> None:
    generator = FAMILIES[kind].load(models[kind], "cpu")
    side = generator.card.sizes[0][0]
    who, how = latents(generator, 6)
    who[:] = who[0]
    still = generator.generate(who, np.zeros_like(how), side, side)
    assert all(np.array_equal(still[0], one) for one in still)
    spread = [
        float(np.abs(generator.generate(who, how * np.float32(sigma), side, side) - still).mean())
        for sigma in (0.25, 0.5, 1.0)
    ]
    assert spread[0] < spread[1] < spread[2]


@pytest.mark.parametrize("kind", ["stylegan1", "stylegan2", "stylegan3"])
def test_a_plans_psi_is_that_of_a_card(
    models: dict[str, Path], kind: str, drawn: Callable[[str, Any], Any], tmp_path: Path
) -> None:
    """The same pixels as a model whose card says it, in every batch; what is shared stays as it was."""
    generator = FAMILIES[kind].load(models[kind], "cpu")
    side = generator.card.sizes[0][0]
    who, how = latents(generator, 5)
    own = generator.generate(who, how, side, side)
    network = drawn(kind, ARCHITECTURES[kind])
    said = write(tmp_path / "half", network, kind, truncation={"psi": 0.25, "cutoff": None})
    other = FAMILIES[kind].load(said, "cpu").generate(who, how, side, side)
    assert isinstance(generator, Truncating)
    nearer = generator.truncated(0.25)
    np.testing.assert_array_equal(nearer.generate(who, how, side, side), other)
    np.testing.assert_array_equal(nearer.generate(who[[4, 1]], how[[4, 1]], side, side), other[[4, 1]])
    np.testing.assert_array_equal(generator.generate(who, how, side, side), own)
    assert generator.truncated(0.7) is generator
    mean = generator.truncated(0.0).generate(who, np.zeros_like(how), side, side)
    assert np.abs(mean - mean[:1]).max() < 1e-6


def test_a_network_without_w_has_no_psi(models: dict[str, Path]) -> None:
    generator = FAMILIES["progan"].load(models["progan"], "cpu")
    with pytest.raises(ValueError, match="no w to truncate"):
        generator.truncated(0.5)


@pytest.mark.parametrize("kind", ["stylegan1", "stylegan2"])
def test_noise_is_a_factor_of_its_own(models: dict[str, Path], kind: str) -> None:
    generator = FAMILIES[kind].load(models[kind], "cpu")
    side, (start, stop) = generator.card.sizes[0][0], generator.card.latent.observation["noise"]
    who, how = latents(generator, 2)
    how[:] = 0
    still = generator.generate(who, how, side, side)
    how[0, start:stop] = 1
    noisy = generator.generate(who, how, side, side)
    assert np.abs(noisy[0] - still[0]).max() > 1e-3
    np.testing.assert_array_equal(noisy[1], still[1])


def test_noise_keeps_its_strength_and_its_seed() -> None:
    kept = [torch.from_numpy(np.random.default_rng(1).standard_normal((1, 1, 64, 64)).astype(np.float32))]
    rows = np.float32([[0, 0, 0, 0], [1, -1, 1, 1], [1, -1, 1, 1], [3, 3, 3, 3]])
    (maps,) = noise_maps(rows, kept)
    assert torch.equal(maps[0], kept[0][0])
    assert torch.equal(maps[1], maps[2])
    assert maps.std((1, 2, 3)).numpy() == pytest.approx(1, abs=0.05)
    (alone,) = noise_maps(rows[3:], kept)
    assert torch.equal(alone[0], maps[3])
    own = float((maps[3] * kept[0][0]).mean())
    assert own == pytest.approx(1 / np.sqrt(10), abs=0.05)


def test_a_direction_sets_its_distance_and_stays_within_its_limit(models: dict[str, Path]) -> None:
    generator = FAMILIES["stylegan2"].load(models["stylegan2"], "cpu")
    who, how = latents(generator, 5)
    how[:] = 0
    how[:, 0] = [-100, -1, 0, 1, 100]
    w = generator.mapped(who, how).reshape(5, 12, 8)
    expected = 0.1 + 2 * np.tanh(np.array([-100, -1, 0, 1, 100]) * 0.5 / 2)
    np.testing.assert_allclose(w[:, :, 0], np.tile(expected[:, None], (1, 12)), atol=1e-5)
    how[:, 1] = 0.5
    moved = generator.mapped(who, how).reshape(5, 12, 8)
    np.testing.assert_allclose(moved[:, :, 1] - w[:, :, 1], np.tanh(0.25), atol=1e-5)
    np.testing.assert_allclose(moved[:, :, 2:], w[:, :, 2:], atol=1e-6)


def test_halves_of_the_own_size_are_offered(models: dict[str, Path]) -> None:
    generator = FAMILIES["stylegan2"].load(models["stylegan2"], "cpu")
    assert generator.card.sizes == ((128, 128), (64, 64))
    who, how = latents(generator, 2)
    whole = generator.generate(who, how, 128, 128)
    half = generator.generate(who, how, 64, 64)
    np.testing.assert_allclose(half, whole.reshape(2, 64, 2, 64, 2, 3).mean((2, 4)), atol=1e-6)
    with pytest.raises(ValueError, match="does not make"):
        generator.generate(who, how, 32, 32)
    assert [chunk_of(side, "cpu") for side in (64, 256, 512, 1024)] == [8, 4, 1, 1]


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"architecture": {"latent": 6}}, "architecture that cannot be"),
        ({"sizes": [[32, 32]]}, "offers 32×32"),
        ({"label": 0}, "names the label 0"),
        ({"truncation": {"psi": 2, "cutoff": None}}, "psi that is not within"),
        ({"truncation": {"psi": 1, "cutoff": 99}}, "cutoff that is not within"),
        ({"latent": {"identity": 6, "observation": {"pose": [0, 3]}}}, "offers latents that its model does not have"),
        ({"latent": {"identity": 7, "observation": {"pose": [0, 1]}}}, "offers latents that its model does not have"),
        ({"directions": {"file": "../x", "sha256": "", "list": [1]}}, "directions that cannot be"),
        ({"directions": {"file": "directions.safetensors", "sha256": "0", "list": [1]}}, "not the file that the card"),
    ],
)
def test_a_card_that_lies_is_refused(
    models: dict[str, Path], tmp_path: Path, update: dict[str, Any], words: str
) -> None:
    folder = tmp_path / "stylegan2"
    shutil.copytree(models["stylegan2"], folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | update))
    with pytest.raises(Corrupt, match=words):
        FAMILIES["stylegan2"].load(folder, "cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"normal": np.ones(3)}, "norm 1"),
        ({"unit": 0.0}, "unit"),
        ({"limit": float("nan")}, "limit"),
        ({"centre": float("inf")}, "centre"),
        ({"space": "S"}, "not Z or W"),
    ],
)
def test_a_direction_is_a_unit_vector_with_measures(change: dict[str, Any], words: str) -> None:
    sound: dict[str, Any] = {
        "name": "a",
        "factor": "a",
        "space": "W",
        "normal": np.eye(3)[0],
        "unit": 1.0,
        "limit": 1.0,
    }
    with pytest.raises(ValueError, match=words):
        Direction(**(sound | change))


def test_a_factors_directions_stand_together() -> None:
    def one(factor: str) -> Direction:
        return Direction(name="a", factor=factor, space="W", normal=np.eye(3)[0], unit=1.0, limit=1.0)

    assert factors_of([one("a"), one("a"), one("b")], noise=True) == {"a": (0, 2), "b": (2, 3), "noise": (3, 7)}
    with pytest.raises(ValueError, match="stand together"):
        factors_of([one("a"), one("b"), one("a")], noise=False)
