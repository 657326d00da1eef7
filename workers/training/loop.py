"""The loop about a trainer: its folder, what it writes at intervals, and how it goes on where it was broken off.

A run's folder:

    settings.json           the spec
    checkpoint.safetensors  everything needed to go on, or to export
    log.csv                 losses at intervals
    sheet-0000500.png       what the averaged generator makes, at intervals
"""

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from app.errors import Corrupt, RequestRefused
from workers.images import encode_sheet
from workers.training.checkpoint import CheckpointClock
from workers.training.data import Source
from workers.training.files import write_whole
from workers.training.logs import RunLog
from workers.training.sheets import sample_sheet
from workers.training.spec import TrainingSpec
from workers.training.trainer import Trainer

CHECKPOINT, SETTINGS = "checkpoint.safetensors", "settings.json"

HELD_OUT_IMAGES = 256


def train(
    trainer: Trainer,
    folder: Path,
    *,
    checkpoint_every: int = 500,
    sheet_every: int = 2_000,
    tensorboard: bool = False,
    on_progress: Callable[[int, int, dict[str, float]], None] = lambda done, total, losses: None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> bool:
    """Run until the spec's iterations are done; `on_progress` gets iterations done and in all, and the losses.

    Goes on from the checkpoint that is there; raises RequestRefused if that is of a run with other settings,
    Diverged if a loss is no longer a number, DiskFull. Returns False if it was cancelled first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    _settle(folder / SETTINGS, trainer.spec)
    if checkpoint.exists():
        trainer.load(checkpoint)
    log = RunLog(folder, trainer.iteration, tensorboard=tensorboard)
    total = trainer.spec.iterations
    clock = CheckpointClock()
    while trainer.iteration < total:
        if should_cancel():
            trainer.save(checkpoint)
            return False
        losses = trainer.step()
        done, last = trainer.iteration, trainer.iteration == total
        if done % checkpoint_every == 0 or last:
            error = trainer.held_out_error(HELD_OUT_IMAGES)
            if error is not None:
                losses["held_out"] = error
            trainer.save(checkpoint)
            clock.saved()
            log.write(done, losses)
        elif clock.late:
            trainer.save(checkpoint)
            clock.saved()
        if done % sheet_every == 0 or last:
            write_whole(
                folder / f"sheet-{done:07d}.png", encode_sheet(sample_sheet(trainer), "trainedAlgorithmicMedia")
            )
        on_progress(done, total, losses)
    return True


def _settle(settings: Path, spec: TrainingSpec) -> None:
    if settings.exists():
        there = read_settings(settings.parent)
        if there != spec:
            differing = ", ".join(
                f"{name} {ours!r} instead of {theirs!r}"
                for (name, ours), (_, theirs) in zip(spec, there, strict=True)
                if ours != theirs
            )
            raise RequestRefused(
                [("out", f"{settings.parent} holds a run with other settings ({differing}); name an empty folder")]
            )
        return
    write_whole(settings, f"{spec.model_dump_json(indent=1)}\n".encode())


def read_settings(folder: Path) -> TrainingSpec:
    """Settings of the run in a folder; raises Corrupt."""
    try:
        return TrainingSpec.model_validate_json((folder / SETTINGS).read_bytes())
    except (OSError, ValidationError) as exc:
        raise Corrupt(f"{folder} is not a training run: {exc}") from exc


def open_run(source: Source, folder: Path) -> Trainer:
    """Read a run back from its folder; raises Corrupt."""
    trainer = Trainer(source, read_settings(folder))
    trainer.load(folder / CHECKPOINT)
    return trainer
