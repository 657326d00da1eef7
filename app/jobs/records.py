"""Reading and writing what the store keeps of a dataset beside its samples."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from app.dataset.keys import DatasetKeys
from app.dataset.plan import Plan
from app.errors import Corrupt, NotFound, ObjectNotFound
from app.storage import ObjectStore

JSON = "application/json"


class AskedBy(BaseModel):
    """Whose request it was: a key, which is no secret by its id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_id: str
    label: str
    """What the key was said to be for when it asked."""


class Accepted(BaseModel):
    """`request.json`: what was accepted, written before anything is enqueued. Its existence is the acceptance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    tenant: str
    name: str
    created_at: str
    request: dict[str, Any]
    """As the user wrote it."""
    by: AskedBy | None = None
    """None of sets of before, and of the service's own."""


def read_accepted(store: ObjectStore, tenant: str, dataset: str) -> Accepted:
    """Read what was accepted; raises NotFound, which also hides other tenants' datasets, and Corrupt."""
    try:
        return Accepted.model_validate_json(store.get(DatasetKeys(tenant, dataset).request))
    except ObjectNotFound as exc:
        raise NotFound(f"there is no dataset {dataset!r}") from exc
    except ValidationError as exc:
        raise Corrupt(f"the stored request of dataset {dataset!r} cannot be read") from exc


def read_plan(store: ObjectStore, tenant: str, dataset: str) -> Plan:
    """Read a dataset's plan; raises NotFound and Corrupt."""
    try:
        return Plan.model_validate_json(store.get(DatasetKeys(tenant, dataset).plan))
    except ObjectNotFound as exc:
        raise NotFound(f"there is no dataset {dataset!r}") from exc
    except ValidationError as exc:
        raise Corrupt(f"the stored plan of dataset {dataset!r} cannot be read") from exc


def write_json(store: ObjectStore, key: str, value: BaseModel | dict[str, Any]) -> None:
    """Write one JSON object."""
    text = value.model_dump_json() if isinstance(value, BaseModel) else json.dumps(value, ensure_ascii=False)
    store.put(key, text.encode(), JSON)


def read_json(store: ObjectStore, key: str) -> dict[str, Any]:
    """Read one JSON object; raises ObjectNotFound."""
    found: dict[str, Any] = json.loads(store.get(key))
    return found
