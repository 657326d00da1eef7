"""Model cards."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from app.api.deps import ModelName, Serving, Tenant
from app.api.openapi import bytes_of, errors
from app.dataset.model import ModelCard
from app.jobs.catalogues.models import ModelCatalogue

router = APIRouter(tags=["models"])

_CARD = {
    "allOf": [
        {"$ref": "#/components/schemas/ModelCard"},
        {
            "type": "object",
            "properties": {
                "digest": {
                    "type": "string",
                    "pattern": "^[0-9a-f]{64}$",
                    "description": "SHA-256 over the card, and through it over the weights.",
                },
                "links": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "Relative paths: self; sweep, where there is one.",
                },
            },
            "required": ["digest", "links"],
        },
    ]
}

_CARDS = {
    "type": "object",
    "properties": {
        "default": {"type": "string", "description": "Which model `default` means."},
        "models": {"type": "array", "items": _CARD},
    },
    "required": ["default", "models"],
}


def _shown(models: ModelCatalogue, card: ModelCard) -> dict[str, Any]:
    here = f"/v1/models/{card.name}"
    links = {"self": here, **({"sweep": f"{here}/sweep"} if models.has_sweep(card) else {})}
    return {**card.model_dump(mode="json"), "digest": card.digest, "links": links}


@router.get(
    "/v1/models",
    summary="List the models on offer",
    response_class=Response,
    responses={
        200: {"description": "Every card.", "content": {"application/json": {"schema": _CARDS}}},
        **errors(),
    },
)
def list_models(_: Tenant, services: Serving) -> Response:
    """Every model that a worker has published, and which one `default` means."""
    models = services.models
    return JSONResponse({"default": models.default(), "models": [_shown(models, card) for card in models.all()]})


@router.get(
    "/v1/models/{name}",
    summary="Read a model's card",
    response_class=Response,
    responses={
        200: {"description": "The card.", "content": {"application/json": {"schema": _CARD}}},
        **errors(404),
    },
)
def get_model(_: Tenant, name: ModelName, services: Serving) -> Response:
    """What the model offers (factors, attributes, sizes), its licence and where it comes from."""
    return JSONResponse(_shown(services.models, services.models.get(name)))


@router.get(
    "/v1/models/{name}/sweep",
    summary="See a model at one scale after another",
    response_class=Response,
    responses={200: {"description": "The same latents, σ growing.", "content": bytes_of("image/png")}, **errors(404)},
)
def get_model_sweep(_: Tenant, name: ModelName, services: Serving) -> Response:
    """PNG; made when the model was evaluated."""
    return Response(
        services.models.sweep(name), media_type="image/png", headers={"Cache-Control": "private, max-age=300"}
    )
