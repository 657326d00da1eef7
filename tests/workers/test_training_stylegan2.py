"""A small StyleGAN2 of one's own: it learns, goes on where it was broken off, and becomes a model like any imported."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.errors import Corrupt, RequestRefused
from workers.generator import latents as lt
from workers.generator.registry import FAMILIES
from workers.training.data import Batch, Labels
from workers.training.spec import TrainingSpec
from workers.training.stylegan2 import export, pictures
from workers.training.stylegan2.augment import augmented
from workers.training.stylegan2.discriminator import ImageDiscriminator
from workers.training.stylegan2.pictures import Pictures
from workers.training.stylegan2.run import is_single, open_run, train
from workers.training.stylegan2.spec import StyleGan2Spec
from workers.training.stylegan2.trainer import StyleGan2Trainer

LAYOUT = lt.LAYOUTS[1]

TINY = {"size": 8, "latent": 100, "mapping_layers": 2, "base": 8, "most": 12, "batch": 8, "r1_interval": 2}


class Patches:
    """A source of 16 pixels: who it is colours the whole, and light makes the upper half bright where it is present."""

    resolution, subjects, held_out_from = 16, 40, 40
    latents = None

    def __init__(self, labelled: bool = True) -> None:
        self._labelled = labelled

    def layout(self, spec: TrainingSpec) -> Any:
        from workers.training.layout import renders_layout

        return renders_layout(spec, LAYOUT)

    def card(self) -> dict[str, Any]:
        return {"kind": "patches", "sha256": "0" * 64}

    def pairs(self, seed: int, iteration: int, pairs: int) -> Batch:
        rng = np.random.default_rng([seed, iteration])
        identity = np.tile(rng.standard_normal((pairs, LAYOUT.identity)), (2, 1)).astype(np.float32)
        observation = np.zeros((2 * pairs, LAYOUT.observation), np.float32)
        lit = rng.random(2 * pairs) < 0.5
        observation[:, slice(*LAYOUT.factors["illumination"])] = lit[:, None]
        images = torch.ones(2 * pairs, 4, 16, 16)
        images[:, :3] = torch.from_numpy(0.3 + 0.1 * np.tanh(identity[:, :3]))[:, :, None, None]
        images[:, :3, :8] += 0.5 * torch.from_numpy(lit.astype(np.float32))[:, None, None, None]
        if not self._labelled:
            return Batch(images=images, labels=None)
        labels = Labels(
            landmarks=torch.zeros(2 * pairs, 1, 2),
            landmarks_known=torch.zeros(2 * pairs, dtype=torch.bool),
            identity=torch.from_numpy(identity),
            observation=torch.from_numpy(observation),
            flags=torch.zeros(2 * pairs, 17),
        )
        return Batch(images=images, labels=labels)

    def held_out(self, count: int) -> Batch:
        return self.pairs(1, 0, count // 2)

    def training_images(self) -> Any:
        return (self.pairs(0, 0, 32).images.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)

    def training_landmarks(self) -> Any:
        return np.zeros((0, 0)), np.zeros((0, 0)), np.zeros((0, 0)), np.zeros((0, 0, 2))


@pytest.fixture(autouse=True)
def patches(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(pictures, "open_source", lambda folder: Patches(folder.name != "photographs"))


def upper_over_lower(images: Any) -> Any:
    half = images.shape[2] // 2
    return images[:, :3, :half].mean((1, 2, 3)) - images[:, :3, half:].mean((1, 2, 3))


def test_it_learns_from_latents_and_then_from_the_judge(tmp_path: Path) -> None:
    spec = StyleGan2Spec(iterations=96, anchored_iterations=90, **TINY)
    trainer = StyleGan2Trainer(Pictures(tmp_path, 8), spec)
    losses = [trainer.step() for _ in range(spec.iterations)]
    assert losses[89]["pyramid"] < losses[0]["pyramid"] / 2
    assert "judge" in losses[90]
    wanted, latents = trainer.pictures.labelled(9, 0, 32)
    z = torch.zeros(32, spec.latent)
    z[:, : latents.shape[1]] = latents
    with torch.no_grad():
        made = trainer.average.synthesize(trainer.average.map(z)[:, None].repeat(1, trainer.average.layers, 1))
    assert (made - wanted).abs().mean() < (made.flip(2) - wanted).abs().mean(), "upper half brighter than the lower"


def test_a_broken_run_ends_on_the_same_weights(tmp_path: Path) -> None:
    spec = StyleGan2Spec(iterations=6, anchored_iterations=2, **TINY)
    source = Pictures(tmp_path, 8)
    whole = StyleGan2Trainer(source, spec)
    train(whole, tmp_path / "whole", checkpoint_every=2)
    for iterations in (3, 6):  # prolonged: a run may be
        part = StyleGan2Trainer(source, spec.model_copy(update={"iterations": iterations}))
        train(part, tmp_path / "parts", checkpoint_every=1, sheet_every=3)
    for one, other in zip(whole.average.state_dict().values(), part.average.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert (tmp_path / "parts" / "sheet-0000006.png").stat().st_size > 100
    assert is_single(tmp_path / "parts")
    assert not is_single(tmp_path)
    other = StyleGan2Trainer(source, spec.model_copy(update={"batch": 4}))
    with pytest.raises(RequestRefused, match="batch 4 instead of 8"):
        train(other, tmp_path / "parts")
    with pytest.raises(Corrupt, match="is not a run that trained a StyleGAN2"):
        open_run(tmp_path, tmp_path)


def test_bfloat16_computes_the_same_but_for_rounding(tmp_path: Path) -> None:
    found = []
    for mixed in (False, True):
        spec = StyleGan2Spec(iterations=4, mixed_precision=mixed, **TINY)
        trainer = StyleGan2Trainer(Pictures(tmp_path, 8), spec)
        found.append(trainer.step())
    assert found[1]["judge"] == pytest.approx(found[0]["judge"], rel=0.05)
    assert found[1]["r1"] == pytest.approx(found[0]["r1"], rel=0.2)


def test_what_cannot_be_learned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestRefused, match="take a power of two"):
        Pictures(tmp_path, 32)
    tiny = {**TINY, "latent": 16}
    with pytest.raises(RequestRefused, match="16 dimensions do not hold the renders' 92"):
        StyleGan2Trainer(Pictures(tmp_path, 8), StyleGan2Spec(iterations=2, anchored_iterations=1, **tiny))
    with pytest.raises(RequestRefused, match="photographs have no latents"):
        StyleGan2Trainer(
            Pictures(tmp_path / "photographs", 8), StyleGan2Spec(iterations=2, anchored_iterations=1, **TINY)
        )


def test_augmentation_lets_gradients_through_and_moves_some() -> None:
    images = torch.rand(64, 3, 16, 16, requires_grad=True)
    made = augmented(images, 0.5, np.random.default_rng(1))
    unchanged = (made - images).detach().abs().flatten(1).max(1).values < 1e-6
    assert 15 < int(unchanged.sum()) < 50
    made.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert augmented(images, 0, np.random.default_rng(1)) is images


def test_the_judge_looks_at_how_much_a_batch_differs() -> None:
    judge = ImageDiscriminator((12, 8))
    one = torch.rand(1, 3, 8, 8)
    alike, mixed = judge(one.repeat(8, 1, 1, 1)), judge(torch.cat([one, torch.rand(7, 3, 8, 8)]))
    assert alike.shape == (8, 1)
    assert abs(float((alike[0] - mixed[0]).detach())) > 1e-4


def test_a_run_becomes_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = StyleGan2Spec(iterations=2, **TINY)
    trainer = StyleGan2Trainer(Pictures(tmp_path, 8), spec)
    train(trainer, tmp_path / "run")
    monkeypatch.setattr(export, "SAMPLED", 300)
    monkeypatch.setattr(export, "PICTURES", 4)
    monkeypatch.setattr(export, "measure", lambda *_, **__: None)
    monkeypatch.setattr(export, "checks_card", lambda measured: {})
    monkeypatch.setattr(export, "measured_card", lambda measured: {"faces_found": 0.0})
    card = export.export_stylegan2(open_run(tmp_path, tmp_path / "run"), tmp_path / "mine", name="mine", version="0.1")
    generator = FAMILIES["stylegan2"].load(tmp_path / "mine", "cpu")
    assert generator.card == card
    assert (card.default_truncation, card.licence, card.source_type) == (0.7, "Apache-2.0", "trainedAlgorithmicMedia")
    assert (card.model_extra or {})["training"]["settings"]["iterations"] == 2
    who = np.random.default_rng(1).standard_normal((3, spec.latent)).astype(np.float32)
    images = generator.generate(who, np.zeros((3, card.latent.observation_size), np.float32), 8, 8)
    assert images.shape == (3, 8, 8, 3)
