"""What samples can be marked with: the card that workers have published to the store."""

from pydantic import ValidationError

from app.dataset import keys
from app.dataset.marking import MarkingCard
from app.errors import Corrupt, ObjectNotFound
from app.storage import ObjectStore


def publish_marking(store: ObjectStore, card: MarkingCard) -> None:
    """Offer these marks; of several workers the last to start decides, for all are to be set up alike."""
    store.put(keys.MARKING, card.model_dump_json().encode(), "application/json")


def read_marking(store: ObjectStore) -> MarkingCard:
    """The marks on offer; none while no worker has published any."""
    try:
        return MarkingCard.model_validate_json(store.get(keys.MARKING))
    except ObjectNotFound:
        return MarkingCard()
    except ValidationError as exc:
        raise Corrupt(f"the published marks cannot be read: {exc}") from exc
