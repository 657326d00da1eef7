"""Model cards on disk: `card.json` in a model's folder. Needs no torch, so that a worker's parent can read them."""

import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from app.dataset.model import CARD_NAME, ModelCard
from app.errors import Corrupt, RequestRefused

MAX_BYTES = 4 * 1024 * 1024
"""A card larger than this is refused before it is read."""


def check_name(setting: str, name: str, reserved: Collection[str] = ()) -> None:
    """Raise RequestRefused, for the setting that gave it, if a new model cannot have this name."""
    if not re.fullmatch(CARD_NAME, name) or name in reserved:
        but = f", and none of {', '.join(sorted(reserved))}" if reserved else ""
        what = f"{name!r} cannot name a model: take lower-case letters, digits, '.', '_' and '-'{but}"
        raise RequestRefused([(setting, what)])


def read_card(folder: Path) -> ModelCard:
    """Read a model's card.json; raises Corrupt, naming the file and the field."""
    path = folder / "card.json"
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise Corrupt(f"{path} cannot be read: it is not a regular file")
        if size > MAX_BYTES:
            raise Corrupt(f"{path} has {size:,} bytes; a card has at most {MAX_BYTES:,}")
        data = path.read_bytes()
        card = ModelCard.model_validate_json(data)
        # What a card says is shown as JSON, which has neither NaN nor infinity; pydantic takes both, and 1e999 too.
        json.dumps(json.loads(data), allow_nan=False)
    except OSError as exc:
        raise Corrupt(f"{path} cannot be read: {exc}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Corrupt(f"{path} is not a model card: {where}: {first['msg']}") from exc
    except ValueError as exc:
        raise Corrupt(f"{path} is not a model card: {exc}") from exc
    return card


def check_layout(
    folder: Path, card: ModelCard, *, identity: int, observation: Mapping[str, tuple[int, int]], size: tuple[int, int]
) -> None:
    """Raise Corrupt for a card that offers other latents or another size than the model behind it has."""
    path = folder / "card.json"
    if card.latent.identity != identity or dict(card.latent.observation) != dict(observation):
        raise Corrupt(
            f"{path} offers latents that its model does not have: identity {card.latent.identity}, "
            f"observation {dict(card.latent.observation)}; the model has {identity} and {dict(observation)}"
        )
    if card.sizes != (size,):
        raise Corrupt(f"{path} offers the sizes {card.sizes}; its model makes {size[0]}×{size[1]} only")


def write_card(folder: Path, card: ModelCard) -> None:
    """Write a card.json, all of it or none: a worker may be reading the one before."""
    text = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False)
    beside = folder / f".card.json.{os.getpid()}.part"
    try:
        beside.write_text(text + "\n", encoding="utf-8")
        beside.replace(folder / "card.json")
    finally:
        beside.unlink(missing_ok=True)
