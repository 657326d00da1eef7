"""The loop about a StyleGAN2's trainer: its folder, what it writes at intervals, and how it goes on.

A run's folder is that of any run here: settings.json, checkpoint.safetensors, log.csv, sheet-0000500.png at intervals.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from app.errors import Corrupt, RequestRefused
from workers.generator.imported.layers import truncate
from workers.generator.stylegan2.network import StyleGan2
from workers.images import encode_sheet, to_pixels
from workers.training.checkpoint import CheckpointClock
from workers.training.files import write_whole
from workers.training.logs import RunLog
from workers.training.loop import CHECKPOINT, SETTINGS
from workers.training.stylegan2.pictures import Pictures
from workers.training.stylegan2.spec import StyleGan2Spec
from workers.training.stylegan2.trainer import StyleGan2Trainer

SHEET_SEED = 2**61
"""Far from the seeds that people choose."""

SHOWN = 8
"""Pictures a side of a sheet."""


def train(
    trainer: StyleGan2Trainer,
    folder: Path,
    *,
    checkpoint_every: int = 500,
    sheet_every: int = 1_000,
    on_progress: Callable[[int, int, dict[str, float]], None] = lambda done, total, losses: None,
) -> None:
    """Run until the spec's iterations are done; goes on from the checkpoint that is there.

    Raises RequestRefused if that is of a run with other settings, Diverged, DiskFull.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    _settle(folder, trainer.spec)
    if checkpoint.exists():
        trainer.load(checkpoint)
    log, total = RunLog(folder, trainer.iteration), trainer.spec.iterations
    clock = CheckpointClock()
    while trainer.iteration < total:
        losses = trainer.step()
        done = trainer.iteration
        if done % checkpoint_every == 0 or done == total:
            trainer.save(checkpoint)
            clock.saved()
            log.write(done, losses)
        elif clock.late:
            trainer.save(checkpoint)
            clock.saved()
        if done % sheet_every == 0 or done == total:
            sheet = encode_sheet(sample_sheet(trainer.average), "trainedAlgorithmicMedia")
            write_whole(folder / f"sheet-{done:07d}.png", sheet)
        on_progress(done, total, losses)


def _settle(folder: Path, spec: StyleGan2Spec) -> None:
    path = folder / SETTINGS
    if not path.exists():
        write_whole(path, f"{spec.model_dump_json(indent=1)}\n".encode())
        return
    there = read_settings(folder)
    # A run may be prolonged: how it began does not depend on where it ends.
    if there.model_copy(update={"iterations": spec.iterations}) != spec:
        differing = ", ".join(
            f"{name} {ours!r} instead of {theirs!r}"
            for (name, ours), (_, theirs) in zip(spec, there, strict=True)
            if ours != theirs
        )
        raise RequestRefused([("out", f"{folder} holds a run with other settings ({differing}); name an empty folder")])
    write_whole(path, f"{spec.model_dump_json(indent=1)}\n".encode())


def read_settings(folder: Path) -> StyleGan2Spec:
    """Settings of the run in a folder; raises Corrupt."""
    try:
        return StyleGan2Spec.model_validate_json((folder / SETTINGS).read_bytes())
    except (OSError, ValidationError) as exc:
        raise Corrupt(f"{folder} is not a run that trained a StyleGAN2: {exc}") from exc


def open_run(data: Path, folder: Path) -> StyleGan2Trainer:
    """Read a run back from its folder, with the images that it learned from; raises Corrupt."""
    spec = read_settings(folder)
    trainer = StyleGan2Trainer(Pictures(data, spec.size), spec)
    trainer.load(folder / CHECKPOINT)
    return trainer


def is_single(folder: Path) -> bool:
    """Whether a folder holds a run of this kind."""
    try:
        return bool(json.loads((folder / SETTINGS).read_bytes()).get("method") == "stylegan2")
    except (OSError, ValueError, AttributeError):
        return False


@torch.inference_mode()
def sample_sheet(network: StyleGan2, psi: float = 0.7) -> NDArray[np.uint8]:
    """Pictures of the same fresh z every time, uint8 [rows, columns, 3]: the upper half truncated, the lower not."""
    random = np.random.Generator(np.random.Philox(key=[SHEET_SEED, 0]))
    rows = []
    for row in range(SHOWN):
        z = torch.from_numpy(random.standard_normal((SHOWN, network.latent), np.float32))
        w = truncate(network.map(z), network.average, network.layers, psi if row < SHOWN // 2 else 1.0)
        made = network.synthesize(w).clamp(-1, 1).permute(0, 2, 3, 1).numpy()
        rows.append(np.concatenate(list(to_pixels(made)), 1))
    return np.concatenate(rows)
