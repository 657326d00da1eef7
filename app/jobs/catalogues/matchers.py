"""The matchers on offer: the cards that workers have published to the store."""

import threading
import time
from collections.abc import Callable

from pydantic import ValidationError

from app.dataset import keys
from app.dataset.matcher import MatcherCard
from app.errors import Corrupt, NotFound
from app.storage import ObjectStore

REMEMBERED_S = 5.0
"""How long a card that was read is believed."""


class MatcherCatalogue:
    """Reads and publishes matcher cards."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._remembered: tuple[float, dict[str, MatcherCard]] | None = None

    def publish(self, cards: list[MatcherCard]) -> None:
        """Offer these matchers."""
        for card in cards:
            self._store.put(keys.matcher_card(card.name), card.model_dump_json().encode(), "application/json")

    def all(self) -> dict[str, MatcherCard]:
        """Every card, by name; none while no worker has published one."""
        now = self._clock()
        with self._lock:
            if self._remembered and now - self._remembered[0] < REMEMBERED_S:
                return self._remembered[1]
        try:
            cards = [
                MatcherCard.model_validate_json(self._store.get(found.key)) for found in self._store.list(keys.MATCHERS)
            ]
        except ValidationError as exc:
            raise Corrupt(f"a published matcher card cannot be read: {exc}") from exc
        by_name = {card.name: card for card in sorted(cards, key=lambda card: card.name)}
        with self._lock:
            self._remembered = (now, by_name)
        return by_name

    def get(self, name: str) -> MatcherCard:
        """One card; raises NotFound."""
        cards = self.all()
        if name not in cards:
            raise NotFound(f"there is no matcher {name!r}; there are {', '.join(cards) or 'none yet'}")
        return cards[name]
