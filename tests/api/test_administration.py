"""What admins see: their tenant's use or, where they run the service, everybody's; and what workers are at."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.access import ApiKeys, Role
from app.config import Settings
from app.dataset.keys import DatasetKeys
from app.errors import QueueUnavailable
from app.jobs.usage import LOOK_S, Usage
from app.main import create_app
from app.queue import Kind, Task

Submit = Callable[..., str]


def admin_of(api: FastAPI, store: Any, tenant: str) -> TestClient:
    key = ApiKeys(store).issue(tenant, "ops", role=Role.ADMIN)
    return TestClient(api, headers={"Authorization": f"Bearer {key}"})


def test_an_admin_sees_what_its_tenant_has(
    api: FastAPI, memory_store: Any, submit: Submit, finish_any: Callable[..., None]
) -> None:
    done, failed = submit(), submit()
    submit()
    finish_any(memory_store, "acme", done)
    memory_store.put(DatasetKeys("acme", failed).failed, b'{"reason": "x"}')
    memory_store.delete(f"unfinished/acme/{failed}")
    memory_store.delete(f"unfinished/acme/{done}")
    admin_of(api, memory_store, "rival")
    client = admin_of(api, memory_store, "acme")
    counts = client.get(f"/v1/datasets/{done}").json()["counts"]
    (use,) = client.get("/v1/usage").json()["tenants"]
    assert use == {
        "tenant": "acme",
        "datasets": 3,
        "unfinished": 1,
        "unfinished_evaluations": 0,
        "samples": counts["samples"],
        "bytes": counts["bytes"],
        "looked_at": 3,
    }
    (other,) = admin_of(api, memory_store, "rival").get("/v1/usage").json()["tenants"]
    assert (other["tenant"], other["datasets"]) == ("rival", 0)


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({"environment": "development", "operators": "ops"}, ["acme", "rival"]),
        ({"environment": "development", "operators": "rival"}, ["ops"]),
        ({"environment": "development"}, ["ops"]),
    ],
)
def test_who_runs_the_service_sees_every_tenant(
    memory_store: Any, memory_queue: Any, clock: Any, settings: dict[str, Any], seen: list[str]
) -> None:
    for tenant in ("acme", "rival"):
        memory_store.put(f"tenants/{tenant}/datasets/ds_1/request.json", b"{}")
    api = create_app(Settings.model_validate(settings), store=memory_store, queue=memory_queue, clock=clock)
    found = admin_of(api, memory_store, "ops").get("/v1/usage").json()["tenants"]
    assert [use["tenant"] for use in found] == seen


def test_the_embedded_stack_is_run_by_its_own_tenant() -> None:
    made = Settings.model_validate({"environment": "embedded", "store": {"access_key": "a1b2", "secret_key": "x9y8"}})
    assert made.operating_tenant == "local"
    assert Settings.model_validate({"environment": "development"}).operating_tenant is None


def test_counting_takes_its_time_and_goes_on(memory_store: Any) -> None:
    for number in range(200):
        memory_store.put(f"tenants/acme/datasets/ds_{number:020d}/request.json", b"{}")
    now = [0.0]

    def clock() -> float:
        now[0] += LOOK_S / 2
        return now[0]

    usage = Usage(memory_store, clock)
    looked = [usage.look("acme")[0].looked_at for _ in range(4)]
    assert looked[0] < looked[1] <= looked[3] == 200
    before = memory_store.reads
    usage.look("acme")
    assert memory_store.reads == before  # what has ended is remembered


def test_the_load_is_told_by_phase(api: FastAPI, memory_store: Any, memory_queue: Any) -> None:
    for name, part in (("generate_shard", "000001"), ("generate_shard", "000002"), ("try_scale", "000000/000000")):
        memory_queue.enqueue(Task(Kind(f"facsimile.{name}", "shards"), "acme", "ds_1", part))
    memory_queue.take("t")
    client = admin_of(api, memory_store, "acme")
    found = client.get("/v1/workload").json()
    assert found == {
        "workers": 1,
        "phases": [
            {"phase": "calibrate", "waiting": 1, "at_work": 0},
            {"phase": "generate", "waiting": 1, "at_work": 1},
        ],
    }
    memory_queue.fault = lambda operation: QueueUnavailable("away") if operation == "flights" else None
    assert client.get("/v1/workload").status_code == 503
