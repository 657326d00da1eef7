"""API keys: who is asking."""

import hmac
import json
from typing import Any

import pytest

from app.access import GUESSES_AT_ONCE, REMEMBERED_S, ApiKeys, Role, key_id_of
from app.dataset import keys
from app.errors import NotAuthenticated, NotFound, QuotaExceeded, RequestRefused, StoreUnavailable

UNKNOWN = "fcs_0123456789abcdef_" + "A" * 43


@pytest.fixture
def api_keys(memory_store: Any, clock: Any) -> ApiKeys:
    return ApiKeys(memory_store, clock, wall=clock)


def test_a_key_names_its_tenant(api_keys: ApiKeys) -> None:
    mine, yours = api_keys.issue("acme", "laptop"), api_keys.issue("other", "laptop")
    assert mine != yours
    assert api_keys.tenant_of(mine) == "acme"
    assert api_keys.tenant_of(yours) == "other"


def test_the_store_never_holds_the_secret(memory_store: Any, api_keys: ApiKeys) -> None:
    issued = api_keys.issue("acme", "laptop")
    _, key_id, secret = issued.split("_", 2)
    stored = memory_store.objects[keys.api_key(key_id)]
    assert not any(secret.encode() in data for data in memory_store.objects.values())
    assert json.loads(stored)["label"] == "laptop"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "fcs_",
        UNKNOWN,
        UNKNOWN[:-1],
        UNKNOWN + "A",
        UNKNOWN + "\n",
        UNKNOWN.upper(),
        "Bearer " + UNKNOWN,
        "fcs_../../x_y",
    ],
    ids=repr,
)
def test_unknown_keys(api_keys: ApiKeys, wrong: str) -> None:
    api_keys.issue("acme", "laptop")
    with pytest.raises(NotAuthenticated):
        api_keys.tenant_of(wrong)


def test_a_known_id_with_another_secret(api_keys: ApiKeys) -> None:
    issued = api_keys.issue("acme", "laptop")
    last = "A" if issued[-1] != "A" else "B"
    for wrong in (issued[:-1] + last, issued[:21] + "A" * 43):
        with pytest.raises(NotAuthenticated):
            api_keys.tenant_of(wrong)


def test_a_known_key_with_a_line_end_is_not_that_key(api_keys: ApiKeys) -> None:
    issued = api_keys.issue("acme", "laptop")
    with pytest.raises(NotAuthenticated):
        api_keys.tenant_of(issued + "\n")


def test_an_empty_secret_does_not_match_the_digest_of_no_record(api_keys: ApiKeys) -> None:
    # Where there is no record, the digest of "" stands in for its digest.
    with pytest.raises(NotAuthenticated):
        api_keys.tenant_of("fcs_0123456789abcdef_")


@pytest.mark.parametrize("kind", ["right", "wrong secret", "unknown id", "no key at all"])
def test_secrets_are_compared_in_constant_time_on_every_path(
    api_keys: ApiKeys, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    issued = api_keys.issue("acme", "laptop")
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def spy(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    asked = {
        "right": issued,
        "wrong secret": issued[:21] + "A" * 43,
        "unknown id": UNKNOWN,
        "no key at all": "nonsense",
    }
    if kind == "right":
        api_keys.tenant_of(asked[kind])
    else:
        with pytest.raises(NotAuthenticated):
            api_keys.tenant_of(asked[kind])
    assert compared == [(64, 64)]


def test_a_revoked_key_is_worthless_at_once_where_it_was_revoked(api_keys: ApiKeys) -> None:
    issued = api_keys.issue("acme", "laptop")
    api_keys.tenant_of(issued)
    api_keys.revoke(issued.split("_")[1])
    with pytest.raises(NotAuthenticated):
        api_keys.tenant_of(issued)


def test_a_record_is_remembered_for_some_seconds(memory_store: Any, clock: Any, api_keys: ApiKeys) -> None:
    issued = api_keys.issue("acme", "laptop")
    api_keys.tenant_of(issued)
    ApiKeys(memory_store).revoke(issued.split("_")[1])  # by another process
    memory_store.reads = 0
    clock.now += REMEMBERED_S - 0.1
    assert api_keys.tenant_of(issued) == "acme"
    assert memory_store.reads == 0
    clock.now += 0.2
    with pytest.raises(NotAuthenticated):
        api_keys.tenant_of(issued)


def test_unknown_ids_are_remembered_too_but_a_new_key_works_at_once(memory_store: Any, api_keys: ApiKeys) -> None:
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            api_keys.tenant_of(UNKNOWN)
    assert memory_store.reads == 1
    assert api_keys.tenant_of(api_keys.issue("acme", "new")) == "acme"


def test_a_store_that_is_down_is_not_a_wrong_key(memory_store: Any, clock: Any, api_keys: ApiKeys) -> None:
    issued = api_keys.issue("acme", "laptop")
    clock.now += REMEMBERED_S
    memory_store.fault = lambda operation, key: StoreUnavailable("down")
    with pytest.raises(StoreUnavailable):
        api_keys.tenant_of(issued)
    memory_store.fault = lambda operation, key: None
    assert api_keys.tenant_of(issued) == "acme"


@pytest.mark.parametrize("tenant", ["", "Acme", "-acme", "a/b", "a" * 41, "acme\n", "..", "ä"], ids=repr)
def test_names_that_are_no_tenant(memory_store: Any, api_keys: ApiKeys, tenant: str) -> None:
    with pytest.raises(RequestRefused):
        api_keys.issue(tenant, "laptop")
    assert memory_store.objects == {}


def test_a_key_of_before_roles_may_write_and_not_administer(memory_store: Any, api_keys: ApiKeys) -> None:
    key = api_keys.issue("acme", "old")
    at = keys.api_key(key_id_of(key))
    old = {name: json.loads(memory_store.objects[at])[name] for name in ("tenant", "label", "sha256")}
    memory_store.objects[at] = json.dumps(old).encode()
    assert api_keys.holder_of(key).role is Role.WRITE
    assert [shown.created_at for shown in api_keys.list()] == [None]


def test_a_key_ends_when_it_was_said_to(clock: Any, api_keys: ApiKeys) -> None:
    key = api_keys.issue("acme", "for a day", days=1)
    clock.now += 86_000
    assert api_keys.tenant_of(key) == "acme"
    clock.now += 500
    with pytest.raises(NotAuthenticated, match="ended at"):
        api_keys.tenant_of(key)
    assert api_keys.by_id(key_id_of(key)) is None
    assert [shown.expired for shown in api_keys.list("acme")] == [True]
    for days in (0, -1, 1e9, float("nan")):
        with pytest.raises(RequestRefused):
            api_keys.issue("acme", "", days=days)


def test_the_last_use_is_written_once_an_hour_and_never_brings_a_key_back(
    memory_store: Any, clock: Any, api_keys: ApiKeys
) -> None:
    key = api_keys.issue("acme", "laptop")
    at = keys.api_key_used(key_id_of(key))
    assert [shown.last_used_at for shown in api_keys.list()] == [None]
    for _ in range(100):
        clock.now += 60
        api_keys.tenant_of(key)
        ApiKeys(memory_store, clock, wall=clock).tenant_of(key)  # another process
    assert memory_store.journal.count(("put", at)) == 2
    api_keys.revoke(key_id_of(key))
    clock.now += 4_000
    with pytest.raises(NotAuthenticated):
        api_keys.tenant_of(key)
    assert not any(name.startswith("api-keys") for name in memory_store.objects)


def test_guessing_ids_is_bounded_and_shuts_out_nobody_who_is_known(memory_store: Any, clock: Any) -> None:
    api_keys = ApiKeys(memory_store, clock, wall=clock)
    mine = api_keys.issue("acme", "laptop")
    api_keys.tenant_of(mine)
    memory_store.reads = 0
    refused = 0
    for number in range(3 * GUESSES_AT_ONCE):
        with pytest.raises((NotAuthenticated, QuotaExceeded)) as exc:
            api_keys.tenant_of(f"fcs_{number:016x}_" + "A" * 43)
        refused += exc.type is QuotaExceeded
    assert refused == 2 * GUESSES_AT_ONCE
    assert memory_store.reads == GUESSES_AT_ONCE
    clock.now += REMEMBERED_S + 0.1
    for number in range(3 * GUESSES_AT_ONCE):
        with pytest.raises((NotAuthenticated, QuotaExceeded)):
            api_keys.tenant_of(f"fcs_{number + 10**6:016x}_" + "A" * 43)
    assert api_keys.tenant_of(mine) == "acme"


def test_a_tenants_admin_revokes_no_others_key(api_keys: ApiKeys) -> None:
    theirs = api_keys.issue("other", "laptop")
    for key_id in (key_id_of(theirs), "0" * 16, "../x"):
        with pytest.raises(NotFound):
            api_keys.revoke(key_id, "acme")
    assert api_keys.tenant_of(theirs) == "other"
    assert list(api_keys.list("acme")) == []
