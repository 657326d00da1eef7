"""Matcher cards."""

from fastapi import APIRouter
from pydantic import BaseModel

from app.api.deps import MatcherName, Serving, Tenant
from app.api.openapi import errors
from app.dataset.matcher import MatcherCard

router = APIRouter(tags=["models"])


class Matchers(BaseModel):
    """Every matcher that a worker has published."""

    matchers: list[MatcherCard]


@router.get("/v1/matchers", summary="List the matchers that judge sets", responses=errors())
def list_matchers(_: Tenant, services: Serving) -> Matchers:
    """Those with `judge` judge every set; the others those whose target names them."""
    return Matchers(matchers=list(services.matchers.all().values()))


@router.get("/v1/matchers/{name}", summary="Read a matcher's card", responses=errors(404))
def get_matcher(_: Tenant, name: MatcherName, services: Serving) -> MatcherCard:
    """Its version, the digest of its weights, how it scores, and what it was trained on."""
    return services.matchers.get(name)
