"""`facsimile train …`: from a folder of pictures to a model, by the commands that the README shows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image
from typer.testing import CliRunner

from app.errors import RequestRefused
from workers.commands.train import train as commands
from workers.generator import latents as lt
from workers.training.corpus.store import missing_parts, open_corpus, write_part
from workers.training.measure import Measured


def run(*arguments: object) -> str:
    """Run a command that must succeed; returns what it says."""
    torch.set_num_threads(1)
    result = CliRunner().invoke(commands, [str(part) for part in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for subject in range(3):
        (tmp_path / "mine" / str(subject)).mkdir(parents=True)
        for picture in range(2):
            pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / str(subject) / f"{picture}.png")
    return tmp_path / "mine"


def test_photographs_become_a_model(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = Measured(face_found_sigma_1=0.0, samples=2, unique_threshold=None, identities=3, non_mated_mean=None)
    monkeypatch.setattr("workers.training.export.measure", lambda *_, on_progress: figures)
    packed, out = tmp_path / "packed", tmp_path / "run"
    assert "3 subjects" in run("photographs", mine, packed, "--as-is", "--size", 16)
    options = ("run", packed, "--out", out, "--iterations", 4, "--pairs", 2, "--base", 4, "--sheet-every", 2)
    assert "4 iterations" in run(*options)
    settings = json.loads((out / "settings.json").read_text())
    assert (settings["anchored"], settings["placing_iterations"], settings["learning_rate"]) == (False, 0, 5e-4)
    assert {path.name for path in out.glob("sheet-*.png")} == {"sheet-0000002.png", "sheet-0000004.png"}
    before = (out / "checkpoint.safetensors").read_bytes()
    assert "4 iterations" in run(*options), "a run that is done stays as it is"
    with pytest.raises(RequestRefused, match=r"begun: .* holds photographs"):
        run(*options, "--begun")
    assert (out / "checkpoint.safetensors").read_bytes() == before
    with pytest.raises(RequestRefused, match=r"out: 'Ours' cannot name a model"):
        run("export", packed, "--run", out, "--out", tmp_path / "models" / "Ours")
    assert not (tmp_path / "models").exists()
    assert "model ours 0.1.0" in run("export", packed, "--run", out, "--out", tmp_path / "models" / "ours")
    card = json.loads((tmp_path / "models" / "ours" / "card.json").read_text())
    assert card["training"]["corpus"]["subjects"] == 3
    assert card["training"]["method"] == "sdgan"


def test_a_wasserstein_critic_takes_five_steps_unless_told(mine: Path, tmp_path: Path) -> None:
    packed, out = tmp_path / "packed", tmp_path / "run"
    run("photographs", mine, packed, "--as-is", "--size", 16)
    run("run", packed, "--out", out, "--iterations", 1, "--pairs", 2, "--base", 4, "--loss", "wgan-gp")
    assert json.loads((out / "settings.json").read_text())["discriminator_steps"] == 5


def test_what_cannot_be_is_refused_with_its_setting(mine: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    run("photographs", mine, packed, "--as-is", "--size", 16)

    def refused(*arguments: object) -> Any:
        with pytest.raises(RequestRefused) as caught:
            run("run", packed, "--out", tmp_path / "run", *arguments)
        return str(caught.value)

    assert "ivigan needs labels" in refused("--method", "ivigan")
    assert "no labels to learn latents from" in refused("--anchored")
    assert "set anchored to false" in refused("--method", "ivigan", "--anchored")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["ivigan", "sdgan+triplet", "stylegan2"])
def test_a_method_is_trained_from_nothing_by_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The renderer is stood in for, and the networks are small; all else is what the command does."""
    if method == "sdgan+triplet":
        pytest.importorskip("onnx")
    drawn = []

    def paint(folder: Path, spec: Any, *, processes: int, on_progress: Any) -> None:
        open_corpus(folder, spec)
        for number in missing_parts(folder, spec):
            drawn.append(number)
            rng = np.random.default_rng(number)
            rows = [(subject, *rng.integers(256, size=2)) for subject in spec.part(number) for _ in range(4)]
            columns = {
                "head": np.full((len(rows), 16, 16, 4), 255, np.uint8),
                "landmarks": rng.random((len(rows), 183, 2), np.float32),
                "identity": rng.standard_normal((len(rows), lt.CURRENT.identity), np.float32),
                "observation": rng.standard_normal((len(rows), lt.CURRENT.observation), np.float32),
                "subject": np.array([row[0] for row in rows], np.int32),
            }
            columns["head"][..., 0] = np.array([row[1] for row in rows])[:, None, None]
            write_part(folder, number, columns)

    figures = Measured(face_found_sigma_1=0.25, samples=2, unique_threshold=None, identities=3, non_mated_mean=None)
    monkeypatch.setattr("workers.training.corpus.render.render_corpus", paint)
    monkeypatch.setattr("workers.training.recipes.SIZE", 16)
    monkeypatch.setattr("workers.commands.train_method.SIZE", 16)
    for module in ("workers.training.export", "workers.training.stylegan2.export"):
        monkeypatch.setattr(f"{module}.measure", lambda *_, on_progress: figures)
    monkeypatch.setattr("workers.training.stylegan2.export.SAMPLED", 300)
    monkeypatch.setattr("workers.training.stylegan2.export.PICTURES", 4)
    options = ("--out", tmp_path / "models" / "small", "--work", tmp_path / "work", "--subjects", 6)
    told = run("method", method, *options, "--iterations", 6)
    assert "model small" in told
    assert "in 25.0% of samples at σ = 1" in told
    card = json.loads((tmp_path / "models" / "small" / "card.json").read_text())
    assert card["training"]["settings"]["method"] == method
    assert 0 < card["training"]["settings"]["anchored_iterations"] < 6
    assert card["training"]["corpus"]["subjects"] == 6
    if method == "ivigan":
        assert set(card["latent"]["observation"]) == {
            *("pose", "expression", "illumination", "accessories", "age_offset", "residual", "background")
        }
    before = (tmp_path / "work" / method / "checkpoint.safetensors").read_bytes()
    run("method", method, *options, "--iterations", 6)
    assert (tmp_path / "work" / method / "checkpoint.safetensors").read_bytes() == before
    assert drawn == [0], "neither drawn nor trained a second time"


def test_tensorboard_gets_the_losses_where_it_is_asked_for(mine: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    packed, out = tmp_path / "packed", tmp_path / "run"
    run("photographs", mine, packed, "--as-is", "--size", 16)
    run("run", packed, "--out", out, "--iterations", 2, "--pairs", 2, "--base", 4, "--tensorboard")
    events = EventAccumulator(str(out / "events")).Reload()
    assert {"fooled", "judge"} <= set(events.Tags()["scalars"])
    assert events.Scalars("judge")[-1].step == 2
