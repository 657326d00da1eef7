"""Checkpoints: every tensor of a training run in one safetensors file, resumed to the bit."""

from pathlib import Path
from time import monotonic
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from app.errors import Corrupt
from workers.training.files import whole

LATE_S = 600.0
"""Seconds after which a checkpoint is due however few iterations were done: on a busy machine they take long."""


class CheckpointClock:
    """How long ago a run was saved."""

    def __init__(self) -> None:
        self.saved()

    def saved(self) -> None:
        """It has just been."""
        self._at = monotonic()

    @property
    def late(self) -> bool:
        """Whether it should be again, before its iterations say so."""
        return monotonic() - self._at > LATE_S


def save_checkpoint(
    path: Path, iteration: int, modules: dict[str, nn.Module], optimizers: dict[str, torch.optim.Adam]
) -> None:
    """Write the state after `iteration` steps; raises DiskFull, the state from before being kept."""
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"{name}/{key}": value.contiguous() for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}/{number}/{key}": value.contiguous() for key, value in state.items()}
    with whole(path) as unfinished:
        save_file(tensors, unfinished, metadata={"iteration": str(iteration)})


def read_module(path: Path, name: str) -> dict[str, Tensor]:
    """Read one module's state out of a checkpoint; raises Corrupt."""
    prefix = f"{name}/"
    try:
        with safe_open(path, framework="pt") as file:
            keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118  (not a dict)
            return {key[len(prefix) :]: file.get_tensor(key) for key in keys}
    except (OSError, SafetensorError) as exc:
        raise Corrupt(f"{path} is not a checkpoint ({exc})") from exc


def load_checkpoint(path: Path, modules: dict[str, nn.Module], optimizers: dict[str, torch.optim.Adam]) -> int:
    """Read a state back into modules and optimizers; returns its iteration. Raises Corrupt."""
    try:
        with safe_open(path, framework="pt") as file:
            iteration = int(file.metadata()["iteration"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as exc:
        raise Corrupt(f"{path} is not a checkpoint ({exc}); remove it to begin anew") from exc
    try:
        for name, module in modules.items():
            module.load_state_dict(_below(tensors, f"{name}/"))
    except RuntimeError as exc:
        raise Corrupt(f"{path} was written by a run with other settings: {exc}") from exc
    for name, optimizer in optimizers.items():
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, f"{name}/").items():
            number, entry = key.split("/")
            states.setdefault(int(number), {})[entry] = value
        whole: dict[str, Any] = optimizer.state_dict()
        optimizer.load_state_dict({**whole, "state": states})
    return iteration


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
