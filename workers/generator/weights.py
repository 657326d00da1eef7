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

MAX_HEADER_BYTES = 1024 * 1024
"""So is one whose header, names and shapes as JSON, is larger than this."""

TYPES = ("F16", "BF16", "F32")
"""What weights may be stored as; nothing else is turned into float32."""


def load_weights(folder: Path, card: ModelCard, network: nn.Module) -> None:
    """Fill a network with a card's weights, as float32; raises Corrupt before anything of a bad file is used.

    Checked in this order: the file's kind and size, its digest against the card's, the size of its header, the
    header against the network's names and shapes, and every value for being finite. The network may lie on torch's
    `meta` device: then nothing is allocated for it before the header has passed. It must have no buffers that
    its state leaves out.
    """
    if card.weights is None:
        raise Corrupt(f"the card of model {card.name!r} names no weights")
    path = folder / card.weights.file
    if path.parent != folder:
        raise Corrupt(f"the card of model {card.name!r} names weights outside its folder: {card.weights.file!r}")
    try:
        # A pipe or a device has no end, and a digest would be taken of it for ever.
        if not path.is_file():
            raise Corrupt(f"{path} is not there, or is not a regular file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Corrupt(f"{path} has {size:,} bytes; at most {MAX_BYTES:,} are loaded")
        if file_sha256(path) != card.weights.sha256:
            raise Corrupt(f"{path} is not the file that its card speaks of: the digests differ")
        with path.open("rb") as raw:
            header = int.from_bytes(raw.read(8), "little")
        if header > min(MAX_HEADER_BYTES, size):
            raise Corrupt(
                f"{path} is not a readable safetensors file: its header would have {header:,} bytes "
                f"(the file has {size:,}, and at most {MAX_HEADER_BYTES:,} are read)"
            )
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
            _compare_shapes(path, wanted, {name: tuple(part.get_shape()) for name, part in slices.items()})
            for name, part in slices.items():
                if part.get_dtype() not in TYPES:
                    raise Corrupt(f"{path}: {name} holds {part.get_dtype()}; weights are {', '.join(TYPES)}")
            tensors = {name: file.get_tensor(name).float() for name in wanted}
    except (OSError, SafetensorError) as exc:
        raise Corrupt(f"{path} is not a readable safetensors file: {exc}") from exc
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise Corrupt(f"{path}: {name} holds values that are not finite")
    network.load_state_dict(tensors, assign=True)


def save_model(
    folder: Path, card: dict[str, Any], tensors: dict[str, Tensor], dtype: torch.dtype = torch.float16
) -> ModelCard:
    """Write `weights.safetensors` and the card that fits it, the card last; returns the card.

    Raises Corrupt, with nothing written, for values that are not finite as `dtype`: `load_weights` would refuse them.
    """
    stored = {name: value.detach().cpu().to(dtype).contiguous() for name, value in tensors.items()}
    for name, value in stored.items():
        if not torch.isfinite(value).all():
            raise Corrupt(f"{name} holds values that are not finite as {dtype}; the model is not written")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "weights.safetensors"
    save_file(stored, path)
    path.chmod(0o644)  # safetensors writes for its owner alone
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
