"""The OpenAPI document: every response of every route, in words, with examples."""

from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.access import KeyRequest
from app.api.error_handlers import ErrorBody
from app.api.fields import describe_fields
from app.dataset.calibration import CalibrationRequest
from app.dataset.evaluation_request import EvaluationRequest
from app.dataset.model import ModelCard
from app.dataset.release import ReleaseRequest, WithdrawalRequest
from app.dataset.request import DatasetRequest, PreviewRequest
from app.jobs.webhooks.records import WebhookRequest

TAGS = [
    {"name": "datasets", "description": "Ask for datasets, watch them being made, cancel and delete them."},
    {"name": "products", "description": "Download what a dataset consists of, whole or in ranges."},
    {"name": "releases", "description": "Datasets with a name and a version: the same bytes for ever."},
    {"name": "previews", "description": "Small contact sheets, for choosing a variability."},
    {"name": "calibrations", "description": "Which scale gives a model's sets a difficulty."},
    {"name": "evaluations", "description": "Comparison scores in, metrics and a verdict out."},
    {"name": "models", "description": "Cards of the models and matchers on offer."},
    {"name": "operations", "description": "For machines that run the service; no key is needed."},
]

DESCRIPTION = """\
Facsimile makes **biometric test data**: mated sets of faces of people who do not exist, as varied as asked.

Ask for a dataset (`POST /v1/datasets`), follow it (`GET …/events`), download it (`GET …/archive`). \
Every error has one shape: `{"error": "Name", "detail": "…", "request_id": "…"}`."""

_REF = "#/components/schemas/"

_DESCRIPTIONS = {
    401: "No API key, or one that is not known.",
    403: "The key's role does not allow this.",
    404: "There is no such thing, or it belongs to another tenant.",
    409: "The state it is in does not allow this.",
    410: "The release was withdrawn for good; the detail says why.",
    413: "The body is too long.",
    415: "The body is not said to be JSON.",
    416: "The range lies outside.",
    422: "The request cannot be fulfilled as it stands; the detail names each field and what to change.",
    429: "Too many requests, or too much under way.",
    503: "The store, the queue or a model is not there now; nothing was accepted.",
}

_EXAMPLES = {
    401: ("NotAuthenticated", "no API key was sent; send 'Authorization: Bearer fcs_…'"),
    403: ("NotAllowed", "this key has the role 'read'; this needs a key with the role 'write'"),
    404: ("NotFound", "there is no dataset 'ds_06fa3k9x2m7q0v4c8d1e'"),
    409: ("Conflict", "this Idempotency-Key was used with another body; use a new key for a new request"),
    410: ("Withdrawn", "gate-smoke@1.2.0 was withdrawn: two subjects look alike; its version is not used again"),
    413: ("TooLarge", "the body is longer than 65,536 bytes; send less"),
    415: ("WrongMediaType", "the body must be JSON; send it with 'Content-Type: application/json'"),
    416: ("RangeNotSatisfiable", "there are 1048576 bytes; ask for a range within them"),
    422: ("RequestRefused", "subjects: must be greater than or equal to 1"),
    429: ("QuotaExceeded", "this minute's 6,000 requests are used up; go on in the next"),
    503: ("QueueUnavailable", "the queue does not answer"),
}

_HEADERS = {
    401: {"WWW-Authenticate": "Always `Bearer`."},
    416: {"Content-Range": "`bytes */SIZE`."},
    429: {"Retry-After": "Seconds until it is worth trying again."},
    503: {"Retry-After": "Seconds until it is worth trying again."},
}


def headers(**described: str) -> dict[str, Any]:
    """Describe response headers; underscores stand for hyphens."""
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in described.items()
    }


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the errors that a route with a key can answer: 401, 403, 429, 503 and these."""
    return {status: _error(status) for status in sorted({401, 403, 429, 503, *statuses})}


def open_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the errors of a route that needs no key."""
    return {status: _error(status) for status in statuses}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Document a JSON body that `app.api.bodies` reads."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"{_REF}{model.__name__}"}}},
        }
    }


def bytes_of(*media_types: str) -> dict[str, Any]:
    """Document a body that is sent as it is stored."""
    binary = {"type": "string", "format": "binary"}
    return {
        media_type: {"schema": {"type": "object"} if media_type.endswith("json") else binary}
        for media_type in media_types
    }


def _error(status: int) -> dict[str, Any]:
    name, detail = _EXAMPLES[status]
    example = {"error": name, "detail": detail, "request_id": "5b1f0c9e2d7a4f38b6c1e0d9a8f7b6c5"}
    return {
        "model": ErrorBody,
        "description": _DESCRIPTIONS[status],
        "content": {"application/json": {"example": example}},
        "headers": {
            header: {"description": text, "schema": {"type": "string"}}
            for header, text in _HEADERS.get(status, {}).items()
        },
    }


REQUESTS: tuple[type[BaseModel], ...] = (
    DatasetRequest,
    PreviewRequest,
    CalibrationRequest,
    EvaluationRequest,
    KeyRequest,
    WebhookRequest,
    ReleaseRequest,
    WithdrawalRequest,
)
"""Every JSON body that is read."""


class DescribedAPI(FastAPI):
    """FastAPI whose document has the bodies that we read ourselves, and no error that cannot happen."""

    def openapi(self) -> dict[str, Any]:
        """Build the document once."""
        if self.openapi_schema:
            return self.openapi_schema
        document = super().openapi()
        models: tuple[type[BaseModel], ...] = (*REQUESTS, ModelCard)
        described: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [(ErrorBody, "serialization")]
        described += [(model, "validation") for model in models]
        _, read = models_json_schema(
            described,
            ref_template=_REF + "{model}",
        )
        schemas = document["components"]["schemas"]
        for name, schema in read["$defs"].items():
            schemas.setdefault(name, schema)
        describe_fields(schemas, REQUESTS)
        # FastAPI adds its own 422 to whatever has a parameter; routes that can answer 422 say so themselves.
        for operations in document["paths"].values():
            for operation in operations.values():
                if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                    del operation["responses"]["422"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        return document
