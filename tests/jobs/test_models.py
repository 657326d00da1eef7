"""Which models are on offer, as workers publish them."""

from typing import Any

import pytest

from app.dataset import keys
from app.errors import Corrupt, NoModel, NotFound, RequestRefused
from app.jobs.catalogues.models import REMEMBERED_S, ModelCatalogue


def test_default_means_the_published_default(models: ModelCatalogue) -> None:
    assert models.get("default") == models.get("toy")
    assert models.default() == "toy"
    assert [card.name for card in models.all()] == ["toy"]


def test_an_unknown_model_is_not_found_or_refused(models: ModelCatalogue) -> None:
    with pytest.raises(NotFound, match="there are toy"):
        models.get("none")
    with pytest.raises(RequestRefused) as refused:
        models.asked_for("none")
    assert refused.value.problems[0][0] == "model"


def test_a_sweep_is_shown_where_there_is_one(models: ModelCatalogue, memory_store: Any) -> None:
    card = models.get("toy")
    assert not models.has_sweep(card)
    with pytest.raises(NotFound, match="no sweep"):
        models.sweep("toy")
    models.publish([card], "toy", {"toy": b"PNG"})
    assert models.has_sweep(card)
    assert models.sweep("default") == b"PNG"
    assert [found.name for found in models.all()] == ["toy"]


def test_before_any_worker_has_started(memory_store: Any) -> None:
    with pytest.raises(NoModel, match="no worker has published"):
        ModelCatalogue(memory_store).get("default")


def test_a_card_is_remembered_for_a_moment(memory_store: Any, models: ModelCatalogue, clock: Any) -> None:
    catalogue = ModelCatalogue(memory_store, clock)
    first = catalogue.get("toy")
    catalogue.publish([first.model_copy(update={"version": "2.0.0"})], "toy")
    assert catalogue.get("toy").version == "1.0.0"
    clock.now += REMEMBERED_S
    assert catalogue.get("toy").version == "2.0.0"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"name": "toy"}'])
def test_a_card_that_cannot_be_read(memory_store: Any, models: ModelCatalogue, text: bytes) -> None:
    memory_store.put(keys.model_card("toy"), text)
    with pytest.raises(Corrupt, match="cannot be read"):
        models.all()


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"null"])
def test_a_default_that_cannot_be_read(memory_store: Any, models: ModelCatalogue, text: bytes) -> None:
    memory_store.put(keys.default_model(), text)
    with pytest.raises(Corrupt, match="cannot be read"):
        models.default()
