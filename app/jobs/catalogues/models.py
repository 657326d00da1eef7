"""The models on offer: the cards that workers have published to the store."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from pydantic import ValidationError

from app.dataset import keys
from app.dataset.model import ModelCard
from app.errors import Corrupt, NoModel, NotFound, ObjectNotFound, RequestRefused
from app.storage import ObjectStore

REMEMBERED_S = 5.0
"""How long a card that was read is believed."""


class ModelCatalogue:
    """Reads and publishes model cards."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._remembered: tuple[float, dict[str, ModelCard], str] | None = None

    def publish(self, cards: list[ModelCard], default: str, sweeps: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Offer these models, say which one `default` means, and show them: `sweeps` are PNG files by model."""
        for name, sweep in sweeps.items():
            self._store.put(keys.model_sweep(name), sweep, "image/png")
        for card in cards:
            self._store.put(keys.model_card(card.name), card.model_dump_json().encode(), "application/json")
        self._store.put(keys.default_model(), json.dumps({"name": default}).encode(), "application/json")

    def all(self) -> list[ModelCard]:
        """Every card, by name; raises NoModel while no worker has published one."""
        return list(self._read()[0].values())

    def default(self) -> str:
        """Name of the model that `default` means."""
        return self._read()[1]

    def sweep(self, name: str) -> bytes:
        """PNG of a model's sweep, by its name or `default`; raises NotFound."""
        try:
            return self._store.get(keys.model_sweep(self.get(name).name))
        except ObjectNotFound as exc:
            raise NotFound(f"model {name!r} has no sweep sheet; 'facsimile models evaluate' makes one") from exc

    def has_sweep(self, card: ModelCard) -> bool:
        """Whether there is a sweep of a model."""
        return self._store.exists(keys.model_sweep(card.name))

    def get(self, name: str) -> ModelCard:
        """One card, by its name or `default`; raises NotFound."""
        cards, default = self._read()
        card = cards.get(default if name == "default" else name)
        if card is None:
            raise NotFound(f"there is no model {name!r}; there are {', '.join(cards)}")
        return card

    def asked_for(self, name: str) -> ModelCard:
        """One card that a request names; raises RequestRefused."""
        try:
            return self.get(name)
        except NotFound as exc:
            raise RequestRefused([("model", str(exc))]) from exc

    def _read(self) -> tuple[dict[str, ModelCard], str]:
        now = self._clock()
        with self._lock:
            if self._remembered and now - self._remembered[0] < REMEMBERED_S:
                return self._remembered[1:]
        try:
            default = str(json.loads(self._store.get(keys.default_model()))["name"])
            cards = {
                name: ModelCard.model_validate_json(self._store.get(keys.model_card(name)))
                for name in sorted(self._store.folders(keys.MODELS))
            }
        except ObjectNotFound as exc:
            raise NoModel("no worker has published a model yet; one does as soon as it has started") from exc
        except (ValidationError, ValueError, KeyError, TypeError) as exc:
            raise Corrupt(f"a published model card cannot be read: {exc}") from exc
        with self._lock:
            self._remembered = (now, cards, default)
        return cards, default
