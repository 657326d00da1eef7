"""Putting down what a tenant's server is to be told: once for each end, before the end's marker goes.

So nothing is lost when a worker dies in between: whoever takes the marker away later puts it down. An event may be put
down twice when two meet at an end; its id is the same then, by which receivers know it.
"""

import time
from typing import Any

from app.dataset import keys
from app.dataset.keys import DatasetKeys, EvaluationKeys
from app.errors import NotFound, ObjectNotFound
from app.jobs.audit import iso
from app.jobs.evaluations.records import AcceptedEvaluation, read_result
from app.jobs.records import read_accepted, read_json
from app.jobs.webhooks.records import Event, EventType
from app.storage import ObjectStore


def tell_dataset_ended(store: ObjectStore, tenant: str, dataset: str) -> None:
    """Put down that a dataset has ended, if it still counts as unfinished and its tenant has a webhook."""
    if not (store.exists(keys.webhook(tenant)) and store.exists(keys.unfinished(tenant, dataset))):
        return
    at, failure = DatasetKeys(tenant, dataset), None
    kind: EventType = "dataset.succeeded"
    if store.exists(at.cancelled):
        kind = "dataset.cancelled"
    elif not store.exists(at.manifest):
        kind = "dataset.failed"
        failure = _reason(store, at.failed)
    try:
        name = read_accepted(store, tenant, dataset).name
    except NotFound:  # deleted meanwhile, by somebody who knows
        return
    _put(store, tenant, dataset, kind, {"id": dataset, "name": name, "failure": failure})


def tell_evaluation_ended(store: ObjectStore, accepted: AcceptedEvaluation) -> None:
    """Put down that an evaluation has ended, if it still counts as unfinished and its tenant has a webhook."""
    tenant, evaluation = accepted.tenant, accepted.id
    if not (store.exists(keys.webhook(tenant)) and store.exists(keys.unfinished_evaluation(tenant, evaluation))):
        return
    at = EvaluationKeys(tenant, evaluation)
    result = read_result(store, accepted)
    data = {
        "id": evaluation,
        "name": accepted.name,
        "dataset": accepted.dataset,
        "release": accepted.release,
        "verdict": result and result.verdict,
        "failure": _reason(store, at.failed) if result is None else None,
    }
    _put(store, tenant, evaluation, "evaluation.succeeded" if result else "evaluation.failed", data)


def tell_registered(store: ObjectStore, tenant: str, made_at: str) -> None:
    """Put down a first event, by which a receiver sees that it is reached."""
    event = Event(type="webhook.registered", timestamp=made_at, data={"tenant": tenant})
    store.put(keys.webhook_event(tenant, "registered"), event.model_dump_json().encode(), "application/json")


def _put(store: ObjectStore, tenant: str, subject: str, kind: EventType, data: dict[str, Any]) -> None:
    event = Event(type=kind, timestamp=iso(time.time()), data=data)
    store.put_if_absent(keys.webhook_event(tenant, subject), event.model_dump_json().encode())


def _reason(store: ObjectStore, key: str) -> str | None:
    try:
        return str(read_json(store, key)["reason"])
    except ObjectNotFound:
        return None
