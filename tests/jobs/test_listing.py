"""Pages of datasets: each once and in order, whatever the filter; what has ended is looked at once for a filter."""

from typing import Any, NamedTuple

import pytest

from app.dataset.keys import DatasetKeys
from app.errors import NotFound, StoreUnavailable
from app.jobs.datasets import listing
from app.jobs.datasets.listing import Filter, Listing
from app.jobs.ids import DATASET, ids_since, new_id
from app.jobs.records import Accepted, write_json
from app.jobs.state import State

ALL = Filter(None, None)


class Shown(NamedTuple):
    id: str
    name: str
    state: State


class Sets:
    """Datasets in a store, and how often each was looked at."""

    def __init__(self, store: Any, states: list[State]) -> None:
        self.sets = {
            f"ds_{number:03d}": Shown(f"ds_{number:03d}", f"set {number % 10}", state)
            for number, state in enumerate(states)
        }
        self.looked: list[str] = []
        for dataset in self.sets:
            accepted = Accepted(id=dataset, tenant="acme", name=self.sets[dataset].name, created_at="", request={})
            write_json(store, DatasetKeys("acme", dataset).request, accepted)

    def show(self, dataset: str) -> Shown:
        self.looked.append(dataset)
        if dataset not in self.sets:
            raise NotFound(dataset)
        return self.sets[dataset]

    def all(self, listed: Listing, wanted: Filter, limit: int) -> list[str]:
        """Ids of every page together."""
        found, after = [], None
        while True:
            page, after = listed.page("acme", self.show, wanted, limit=limit, after=after)
            found += [shown.id for shown in page]
            if after is None:
                return found


@pytest.fixture
def sets(memory_store: Any) -> Sets:
    states = [State.RUNNING, State.FAILED, State.SUCCEEDED, State.SUCCEEDED]
    return Sets(memory_store, [states[number % 4] for number in range(40)])


@pytest.mark.parametrize("limit", [1, 3, 7, 39, 40, 41, 100])
@pytest.mark.parametrize("wanted", [ALL, Filter(State.FAILED, None), Filter(None, "set 3"), Filter(State.RUNNING, "9")])
@pytest.mark.parametrize("most", [5, 500])
def test_every_one_that_is_wanted_once_and_newest_first(
    sets: Sets, memory_store: Any, wanted: Filter, limit: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_SCAN_LIMIT", most)
    expected = [shown.id for shown in reversed(sets.sets.values()) if wanted.fits(shown.state, shown.name)]
    listed = Listing(memory_store, lambda: 0.0)
    assert sets.all(listed, wanted, limit) == expected
    assert sets.all(listed, wanted, limit) == expected  # out of what is remembered


def test_a_page_without_a_filter_looks_at_what_it_shows(sets: Sets, memory_store: Any) -> None:
    Listing(memory_store, lambda: 0.0).page("acme", sets.show, ALL, limit=7, after=None)
    assert len(sets.looked) == 7


def test_what_has_ended_and_is_not_wanted_is_looked_at_once(sets: Sets, memory_store: Any) -> None:
    listed = Listing(memory_store, lambda: 0.0)
    sets.all(listed, Filter(State.FAILED, None), 100)
    assert len(sets.looked) == 40
    sets.looked.clear()
    sets.all(listed, Filter(State.FAILED, None), 100)
    assert sorted(sets.looked) == [
        name for name, shown in sets.sets.items() if shown.state in (State.FAILED, State.RUNNING)
    ]


def test_by_name_only_names_are_read_of_the_others_and_each_once(sets: Sets, memory_store: Any) -> None:
    listed = Listing(memory_store, lambda: 0.0)
    wanted = Filter(None, "set 3")
    assert sets.all(listed, wanted, 100) == ["ds_033", "ds_023", "ds_013", "ds_003"]
    assert sorted(sets.looked) == ["ds_003", "ds_013", "ds_023", "ds_033"]
    assert memory_store.reads == 40
    sets.all(listed, wanted, 100)
    assert memory_store.reads == 40


def test_names_are_read_up_to_a_limit_and_the_next_page_goes_on(
    sets: Sets, memory_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "NAMES_AT_ONCE", 4)
    monkeypatch.setattr(listing, "NAME_SCAN_LIMIT", 8)
    page, after = Listing(memory_store, lambda: 0.0).page("acme", sets.show, Filter(None, "set 0"), limit=5, after=None)
    assert (page, after) == ([], "ds_032")
    assert sets.all(Listing(memory_store, lambda: 0.0), Filter(None, "set 0"), 2) == [
        "ds_030",
        "ds_020",
        "ds_010",
        "ds_000",
    ]


def test_what_goes_on_is_looked_at_again(sets: Sets, memory_store: Any) -> None:
    listed = Listing(memory_store, lambda: 0.0)
    assert "ds_000" not in sets.all(listed, Filter(State.SUCCEEDED, None), 100)
    sets.sets["ds_000"] = sets.sets["ds_000"]._replace(state=State.SUCCEEDED)
    assert "ds_000" in sets.all(listed, Filter(State.SUCCEEDED, None), 100)


def test_what_is_deleted_is_gone(sets: Sets, memory_store: Any) -> None:
    listed = Listing(memory_store, lambda: 0.0)
    wanted = Filter(State.FAILED, None)
    assert "ds_001" in sets.all(listed, wanted, 100)
    del sets.sets["ds_001"]  # its objects may stay, for a release
    assert "ds_001" not in sets.all(listed, wanted, 100)
    memory_store.delete_prefix(DatasetKeys("acme", "ds_005").prefix)
    assert "ds_005" not in sets.all(listed, wanted, 100)


def test_anothers_sets_are_not_there(sets: Sets, memory_store: Any) -> None:
    assert Listing(memory_store, lambda: 0.0).page("rival", sets.show, ALL, limit=5, after=None) == ([], None)


def test_a_store_that_is_away_is_said_to_be(sets: Sets, memory_store: Any) -> None:
    def away(dataset: str) -> Shown:
        raise StoreUnavailable("the object store does not answer")

    with pytest.raises(StoreUnavailable):
        Listing(memory_store, lambda: 0.0).page("acme", away, ALL, limit=5, after=None)


def test_all_ids_are_listed_once_a_minute_and_young_ones_each_time(memory_store: Any, clock: Any) -> None:
    def accept(seconds: float) -> str:
        dataset = new_id(DATASET, clock.now + seconds)
        accepted = Accepted(id=dataset, tenant="acme", name="set", created_at="", request={})
        write_json(memory_store, DatasetKeys("acme", dataset).request, accepted)
        return dataset

    def page() -> list[str]:
        found, _ = listed.page("acme", lambda dataset: Shown(dataset, "set", State.FAILED), ALL, limit=100, after=None)
        return [shown.id for shown in found]

    old = [accept(-200_000 + number) for number in range(3)]
    listed = Listing(memory_store, clock)
    assert page() == old[::-1]
    asked: list[str] = []
    memory_store.fault = lambda operation, key: asked.append(key) if operation == "list" else None
    ours, behind = accept(0), accept(listing.YOUNG_S * -0.99)  # by a process whose clock is behind
    assert page() == [ours, behind, *old[::-1]]
    assert asked == [f"tenants/acme/datasets/{ids_since(DATASET, clock.now - listing.YOUNG_S)}"]
    restored = accept(-100_000)  # such a thing is put there by hand only
    clock.now += listing.ALL_EVERY_S - 1
    assert restored not in page()
    clock.now += 1
    assert page() == [ours, behind, restored, *old[::-1]]
    clock.now -= 10  # set back
    assert len(page()) == 6
    assert asked[-1] == "tenants/acme/datasets/"


def test_ids_sort_by_when_they_were_made() -> None:
    made = [new_id(DATASET, second) for second in (999.998, 999.999, 1_000.0, 1_000.001)]
    assert sorted([*made, ids_since(DATASET, 1_000.0)]) == [*made[:2], ids_since(DATASET, 1_000.0), *made[2:]]
    assert ids_since(DATASET, -5) == "ds_0000000000"
