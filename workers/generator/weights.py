"""Weights as data: safetensors beside a JSON card. Nothing is ever unpickled, and nothing is believed unchecked."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from app.dataset.model import ModelCard
from app.errors import Corrupt
from workers.digests import file_sha256
from workers.generator.cards import write_card

MAX_BYTES = 512 * 1024 * 1024
"""A weights file larger than this is refused before it is opened."""


def load_weights(folder: Path, card: ModelCard, network: nn.Module) -> None:
    """Fill a network with a card's weights, as float32; raises Corrupt before anything of a bad file is used.

    Checked in this order: the file's size, its digest against the card's, its header against the network's names
    and shapes, and every value for being finite.
    """
    if card.weights is None:
        raise Corrupt(f"the card of model {card.name!r} names no weights")
    path = folder / card.weights.file
    if path.parent != folder:
        raise Corrupt(f"the card of model {card.name!r} names weights outside its folder: {card.weights.file!r}")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Corrupt(f"{path} has {size:,} bytes; at most {MAX_BYTES:,} are loaded")
        if file_sha256(path) != card.weights.sha256:
            raise Corrupt(f"{path} is not the file that its card speaks of: the digests differ")
        with safe_open(path, framework="pt") as file:
            wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
            there = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            _compare_shapes(path, wanted, there)
            tensors = {name: file.get_tensor(name).float() for name in wanted}
    except (OSError, SafetensorError) as exc:
        raise Corrupt(f"{path} is not a readable safetensors file: {exc}") from exc
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise Corrupt(f"{path}: {name} holds values that are not finite")
    network.load_state_dict(tensors)


def save_model(folder: Path, card: dict[str, Any], tensors: dict[str, Tensor]) -> ModelCard:
    """Write `weights.safetensors` (float16) and the card that fits it; returns the card."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "weights.safetensors"
    save_file({name: value.detach().cpu().half().contiguous() for name, value in tensors.items()}, path)
    full = ModelCard.model_validate({**card, "weights": {"file": path.name, "sha256": file_sha256(path)}})
    write_card(folder, full)
    return full


def _compare_shapes(path: Path, wanted: dict[str, tuple[int, ...]], there: dict[str, tuple[int, ...]]) -> None:
    for name, shape in wanted.items():
        if name not in there:
            raise Corrupt(f"{path} lacks {name}; the card's architecture does not fit these weights")
        if there[name] != shape:
            raise Corrupt(f"{path}: {name} is {there[name]} and the card's architecture wants {shape}")
    if extra := sorted(set(there) - set(wanted)):
        raise Corrupt(f"{path} holds {extra[0]}, which the card's architecture does not have")
