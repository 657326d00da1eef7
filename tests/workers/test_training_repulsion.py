"""Repulsion: strangers part in a matcher's space, mated pairs meet, and what shall stay is held."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn
from torch.nn import functional

from app.errors import RequestRefused
from workers.generator import latents as lt
from workers.generator.landmarks import GROUPS, LANDMARKS
from workers.training.data import Batch, Labels
from workers.training.disturbance import disturbed
from workers.training.holding import brow_windows, contrast_lost, eye_windows, eyes_lost, held_losses
from workers.training.layout import renders_layout
from workers.training.loop import train
from workers.training.repulsion import KEPT, Kept, mated_loss, repulsion_loss
from workers.training.spec import TrainingSpec
from workers.training.streams import BATCHES, stream
from workers.training.trainer import Trainer

LATENTS = lt.FIRST

RUN = {
    "pairs": 2,
    "base": 4,
    "adversary_from": 0.5,
    "hold_landmarks": True,
    "repulsion_weight": 1.0,
    "repulsion_pairs": 3,
    "warm_up": 1,
}


class Drawn:
    """A source without renders: what a batch holds is drawn from (seed, iteration)."""

    resolution, subjects, held_out_from = 16, 9, 8
    latents = LATENTS

    def layout(self, spec: TrainingSpec) -> Any:
        return renders_layout(spec, LATENTS)

    def pairs(self, seed: int, iteration: int, pairs: int) -> Batch:
        rng = stream(seed, BATCHES, iteration)
        identity = np.tile(rng.standard_normal((pairs, LATENTS.identity), np.float32), (2, 1))
        observation = rng.standard_normal((2 * pairs, LATENTS.observation), np.float32)
        return Batch(
            images=torch.from_numpy(rng.random((2 * pairs, 4, 16, 16), np.float32)),
            labels=Labels(
                landmarks=torch.from_numpy(rng.random((2 * pairs, LANDMARKS, 2), np.float32)),
                landmarks_known=torch.ones(2 * pairs, dtype=torch.bool),
                identity=torch.from_numpy(identity),
                observation=torch.from_numpy(observation),
                flags=torch.from_numpy(lt.derived_flags(identity, observation, LATENTS)),
            ),
        )

    def held_out(self, count: int) -> Batch:
        return self.pairs(99, 0, min(count, 4))


class Matcher(nn.Module):
    """A differentiable matcher that looks at coarse colours."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weight = torch.randn(128, 48, generator=generator)

    def forward(self, images: Any) -> Any:
        seen = functional.adaptive_avg_pool2d(images, 4).flatten(1)
        return functional.normalize((seen - 0.5) @ self.weight.T, dim=1)


@pytest.fixture(autouse=True)
def matcher(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("workers.training.trainer.load_embedding", Matcher)


def test_only_strangers_above_the_margin_are_repelled() -> None:
    one, other = torch.eye(128)[:2]
    near = functional.normalize(one + other, dim=0)
    none = torch.zeros(0, 128)
    assert repulsion_loss(torch.stack([one, other, one, other]), none, 0.2) == 0, "mated pairs are no strangers"
    over = 2**-0.5 - 0.2
    expected = over + 2 * over**2
    assert repulsion_loss(torch.stack([one, near, one, near]), none, 0.2).item() == pytest.approx(expected, abs=1e-6)
    with_kept = repulsion_loss(torch.stack([one, other, one, other]), near[None], 0.2)
    assert with_kept.item() == pytest.approx(expected / 2, abs=1e-6)


def test_mated_templates_that_differ_cost_what_their_cosine_lacks() -> None:
    one, other = torch.eye(128)[:2]
    both, first = torch.tensor([True, True]), torch.tensor([True, False])
    assert mated_loss(torch.stack([one, other, one, other]), both) == 0
    assert mated_loss(torch.stack([one, other, one, one]), both).item() == pytest.approx(0.5)
    assert mated_loss(torch.stack([one, other, one, one]), first) == 0, "a pair that differs in glasses does not count"
    assert mated_loss(torch.stack([one, other, one, one]), ~both) == 0


def test_the_newest_templates_are_kept() -> None:
    kept = Kept(4)
    assert len(kept.filled) == 0
    for number in range(KEPT + 5):
        kept.add(torch.full((1, 4), number + 1.0))
    assert kept.filled[:, 0].tolist() == [float(KEPT + 5 - k) for k in range(KEPT)]


def face() -> tuple[Any, Any]:
    """A grey face with a dark brow and a bright eye with its pupil on either side, [1, 4, 64, 64]; its landmarks."""
    image = torch.full((1, 4, 64, 64), 0.6)
    landmarks = torch.full((1, LANDMARKS, 2), 0.5)
    for side, left in enumerate((16, 36)):
        image[:, :3, 24:26, left : left + 12] = 0.2
        image[:, :3, 31:35, left + 2 : left + 10] = 0.9
        image[:, :3, 31:35, left + 5 : left + 7] = 0.1
        for name, y, start, stop in (
            ("brows", 25, left, left + 12),
            ("upper-lids", 31, left + 2, left + 10),
            ("lower-lids", 35, left + 2, left + 10),
        ):
            points = GROUPS[name]
            half = len(points) // 2
            part = points[half * side : half * (side + 1)]
            landmarks[0, list(part), 0] = torch.linspace(start / 64, stop / 64, half)
            landmarks[0, list(part), 1] = y / 64
    return image, landmarks


def test_eyes_may_change_their_light_but_not_close() -> None:
    before, landmarks = face()
    held = eye_windows(before, landmarks)
    assert held.shape[:2] == (2, 1)
    assert eyes_lost(held, held) == 0
    assert eyes_lost(eye_windows(before * 0.95 + 0.02, landmarks), held) == 0
    closed = before.clone()
    closed[:, :3, 31:35] = 0.6
    assert eyes_lost(eye_windows(closed, landmarks), held) > 0.5
    faded = 0.6 + 0.4 * (before - 0.6)
    assert eyes_lost(eye_windows(faded, landmarks), held) > 0.3


def test_brows_may_move_but_not_vanish() -> None:
    before, landmarks = face()
    held = brow_windows(before, landmarks)
    moved, gone = before.clone(), before.clone()
    moved[:, :3, 22:28] = before[:, :3, 23:29]
    gone[:, :3, 22:28] = 0.6
    assert contrast_lost(brow_windows(moved, landmarks), held, 0.7) == 0
    assert contrast_lost(brow_windows(gone, landmarks), held, 0.7) > 0.3


def test_what_is_held_is_nothing_where_nothing_moved_and_glasses_weigh_more() -> None:
    before, landmarks = face()
    bare, worn = torch.zeros(1, LATENTS.flags), torch.zeros(1, LATENTS.flags)
    worn[:, lt.GLASSES_FLAG] = 2
    still = held_losses(before, before, landmarks, bare)
    assert (still.coarse, still.plain, still.eyes) == (0, 0, 0)
    made = before + 0.1
    without, with_glasses = (held_losses(made, before, landmarks, flags) for flags in (bare, worn))
    assert without.coarse.item() == pytest.approx(0.1, abs=1e-5)
    assert without.plain.item() == pytest.approx(0.1, abs=1e-5)
    assert with_glasses.plain > without.plain
    # A checkerboard is nothing at a coarse scale.
    fine = before + 0.1 * (-1.0) ** torch.arange(64)
    assert held_losses(fine, before, landmarks, bare).coarse < 0.02


def test_disturbed_images_stay_images_are_repeatable_and_pass_gradients() -> None:
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    first, again = (disturbed(images, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, disturbed(images, torch.Generator().manual_seed(8)))
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1
    first.sum().backward()
    assert (images.grad.abs().flatten(1).sum(1) > 0).all()


def test_disturbed_images_are_flipped_only_where_faces_are_symmetric() -> None:
    images = torch.linspace(0, 1, 32).repeat(40, 3, 32, 1)

    def flipped(flip: bool) -> int:
        seen = disturbed(images, torch.Generator().manual_seed(4), flip=flip).mean((1, 2))
        return int((seen[:, :12].mean(1) > seen[:, -12:].mean(1)).sum())

    assert flipped(flip=False) == 0
    assert 10 < flipped(flip=True) < 30


def test_a_run_with_repulsion_that_was_broken_off_ends_on_the_same_weights(tmp_path: Path) -> None:
    spec = TrainingSpec(seed=4, iterations=4, **RUN)
    straight = Trainer(Drawn(), spec)
    assert train(straight, tmp_path / "straight")
    broken = Trainer(Drawn(), spec)
    train(broken, tmp_path / "broken", should_cancel=lambda: broken.iteration >= 3)
    broken = Trainer(Drawn(), spec)
    for network in broken.networks:
        nn.init.zeros_(network.paint.weight)  # what a run began with comes out of its checkpoint
    train(broken, tmp_path / "broken")
    for ours, theirs in zip(straight.networks, broken.networks, strict=True):
        assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_strangers_part_and_the_holding_network_stays() -> None:
    options = {"adversary_from": 1.0, "repulsion_weight": 50.0, "held_coarse": 0.0, "held_plain": 0.0, "held_eyes": 0.0}
    trainer = Trainer(Drawn(), TrainingSpec(iterations=20, learning_rate=3e-3, **{**RUN, **options}))
    held = [value.clone() for value in trainer.networks[2].parameters()]
    placed = [value.clone() for value in trainer.generator.geometry.parameters()]
    before = strangers_alike(trainer)
    for _ in range(18):
        trainer.step()
    assert strangers_alike(trainer) < before - 0.1
    assert all(torch.equal(a, b) for a, b in zip(held, trainer.networks[2].parameters(), strict=True))
    assert not any(value.requires_grad for value in trainer.networks[2].parameters())
    assert all(torch.equal(a, b) for a, b in zip(placed, trainer.generator.geometry.parameters(), strict=True))


@torch.no_grad()
def strangers_alike(trainer: Trainer) -> float:
    """Mean cosine of identities that no step has seen, before grey."""
    labels = Drawn().pairs(77, 0, 12).labels
    made, _ = trainer.generator(labels.identity[:12], labels.observation[:12], labels.flags[:12])
    templates = Matcher()((made[:, :3] + 0.5 * (1 - made[:, 3:])).clamp(0, 1))
    return float((templates @ templates.T)[~torch.eye(12, dtype=torch.bool)].mean())


def test_repulsion_without_landmarks_that_stay_is_refused() -> None:
    with pytest.raises(ValueError, match="landmarks that stay"):
        TrainingSpec(iterations=1, **{**RUN, "hold_landmarks": False})


def test_a_log_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    spec = TrainingSpec(iterations=2, **RUN)
    first = Trainer(Drawn(), spec)
    train(first, tmp_path, checkpoint_every=1, should_cancel=lambda: first.iteration >= 1)
    log = tmp_path / "log.csv"
    log.write_text("".join(",".join(row.split(",")[:8]) + "\n" for row in log.read_text().splitlines()))
    train(Trainer(Drawn(), spec), tmp_path, checkpoint_every=1)
    rows = [row.split(",") for row in log.read_text().splitlines()]
    assert [row[0] for row in rows] == ["iteration", "1", "2"]
    assert rows[1][8] == ""
    assert float(rows[2][8]) > 0


def test_the_command_wants_a_model_to_hold_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from workers.commands.train import train as commands

    (tmp_path / "corpus.json").write_text("{}")
    arguments = ["run", str(tmp_path), "--out", str(tmp_path / "run"), "--repulsion-weight", "1", "--hold-landmarks"]
    with pytest.raises(RequestRefused, match="grow_from: repulsion is held to"):
        CliRunner().invoke(commands, arguments, catch_exceptions=False)
