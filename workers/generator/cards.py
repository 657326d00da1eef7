"""Model cards on disk: `card.json` in a model's folder. Needs no torch, so that a worker's parent can read them."""

import json
from pathlib import Path

from pydantic import ValidationError

from app.dataset.model import ModelCard
from app.errors import Corrupt


def read_card(folder: Path) -> ModelCard:
    """Read a model's card.json; raises Corrupt, naming the file and the field."""
    path = folder / "card.json"
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise Corrupt(f"{path} cannot be read: {exc}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Corrupt(f"{path} is not a model card: {where}: {first['msg']}") from exc


def write_card(folder: Path, card: ModelCard) -> None:
    """Write a card.json."""
    text = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / "card.json").write_text(text + "\n", encoding="utf-8")
