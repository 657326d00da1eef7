"""Evaluations: scores, candidate lists or templates in, metrics and a verdict out; the history of a release."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from app.api.bodies import Posted, posted
from app.api.datasets import REPLAYED, REPLAYED_TEXT, IdempotencyKey
from app.api.deps import EvaluationId, Serving, Tenant
from app.api.openapi import bytes_of, errors, headers, json_body
from app.dataset.evaluation_request import EVALUATION_ID, EvaluationRequest
from app.dataset.names import DATASET_ID
from app.jobs.evaluations.service import EvaluationState, Shown, ShownWhole
from app.numerals import PlainNumbers

router = APIRouter(tags=["evaluations"])


class EvaluationBody(ShownWhole):
    """An evaluation, and where to go from it."""

    links: dict[str, str] = Field(
        description="Relative paths: self; once it has succeeded junit, markdown, det; of searches report, too, and of "
        "templates that were searched galleries and rank_one.",
        examples=[{"self": "/v1/evaluations/ev_06fa3k9x2m7q0v4c8d1e"}],
    )

    @classmethod
    def of(cls, found: ShownWhole) -> "EvaluationBody":
        """Add the links to an evaluation."""
        here = path_of(found.id)
        links = {"self": here}
        if found.state is EvaluationState.SUCCEEDED:
            links |= {"junit": f"{here}/junit.xml", "markdown": f"{here}/summary.md"}
            if found.searches is None or found.searches.det:
                links["det"] = f"{here}/det.svg"
            if found.galleries or (found.searches and found.searches.det):
                links["report"] = f"{here}/report.html"
            if found.galleries:
                links |= {"galleries": f"{here}/galleries.svg", "rank_one": f"{here}/rank-one.svg"}
        return cls(**dict(found), links=links)


class EvaluationPage(BaseModel):
    """Some evaluations, newest first, without what was measured in full."""

    evaluations: list[Shown]
    next: str | None = Field(description="Send it as `after` for the next page; null at the end.")


class EvaluationQuery(PlainNumbers):
    """Which evaluations to list."""

    model_config = ConfigDict(extra="forbid")

    release: str | None = Field(
        None,
        pattern="^[a-z0-9][a-z0-9-]{0,63}(@[0-9][0-9a-z.-]{0,63})?$",
        description="Only those of this release: NAME for all versions, or NAME@VERSION.",
    )
    dataset: str | None = Field(None, pattern=DATASET_ID, description="Only those of this dataset.")
    limit: int = Field(20, ge=1, le=100, description="How many at the most.")
    after: str | None = Field(None, pattern=EVALUATION_ID, description="`next` of the page before.")

    @model_validator(mode="after")
    def _one(self) -> "EvaluationQuery":
        if self.release is not None and self.dataset is not None:
            raise ValueError("ask by release or by dataset, not by both")
        return self


def _sent(description: str, media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": bytes_of(media_type)}, **errors(404, 409)}


def path_of(evaluation: str) -> str:
    """Path of an evaluation's resource."""
    return f"/v1/evaluations/{evaluation}"


@router.post(
    "/v1/evaluations",
    status_code=202,
    summary="Ask for an evaluation",
    response_description="Accepted; it is being made.",
    responses={
        202: {"headers": headers(Location="The evaluation's path.", Idempotent_Replayed=REPLAYED_TEXT)},
        **errors(409, 413, 415, 422),
    },
    openapi_extra=json_body(EvaluationRequest),
)
def submit_evaluation(
    tenant: Tenant,
    asked: Annotated[Posted[EvaluationRequest], Depends(posted(EvaluationRequest))],
    services: Serving,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> EvaluationBody:
    """Scores, candidate lists or templates, and their baseline, are uploads (`PUT /v1/uploads/…`); the baseline may be
    an evaluation made before.

    Each matcher's FNMR is taken at its own threshold of the rule's FMR, on the same comparisons; failed mated
    comparisons count as non-matches. Of candidate lists it is FNIR at a FPIR, over the same searches; `templates` are
    searched by the service, in galleries of several sizes. With an `Idempotency-Key`, a repeat gives the same
    evaluation.
    """
    found, made = services.evaluations.submit(tenant, asked.value, asked.document, idempotency_key)
    response.headers["Location"] = path_of(found.id)
    if not made:
        response.headers[REPLAYED] = "true"
    return EvaluationBody.of(found)


@router.get("/v1/evaluations", summary="List evaluations", responses=errors(422))
def list_evaluations(tenant: Tenant, query: Annotated[EvaluationQuery, Query()], services: Serving) -> EvaluationPage:
    """Newest first; with `release`, its history: how the rates went from version to version of a matcher."""
    found, cursor = services.evaluations.list(
        tenant, release=query.release, dataset=query.dataset, limit=query.limit, after=query.after
    )
    return EvaluationPage(evaluations=found, next=cursor)


@router.get("/v1/evaluations/{evaluation_id}", summary="Look at an evaluation", responses=errors(404))
def get_evaluation(tenant: Tenant, evaluation_id: EvaluationId, services: Serving) -> EvaluationBody:
    """State, verdict with its reason, and all that was measured."""
    return EvaluationBody.of(services.evaluations.get(tenant, evaluation_id))


@router.delete(
    "/v1/evaluations/{evaluation_id}",
    status_code=204,
    summary="Delete an evaluation",
    response_description="It is gone.",
    responses=errors(404),
)
def delete_evaluation(tenant: Tenant, evaluation_id: EvaluationId, services: Serving) -> None:
    """Removes all that was measured; one that is under way stops."""
    services.evaluations.delete(tenant, evaluation_id)


@router.get(
    "/v1/evaluations/{evaluation_id}/junit.xml",
    summary="The verdict as JUnit XML",
    response_class=Response,
    responses=_sent("A test case a limit; FAIL is a failure, UNDECIDED an error.", "application/xml"),
)
def get_evaluation_junit(tenant: Tenant, evaluation_id: EvaluationId, services: Serving) -> Response:
    """As GitLab, GitHub's reporters and Jenkins read it."""
    return _send(services.evaluations.document(tenant, evaluation_id, "junit"), "application/xml")


@router.get(
    "/v1/evaluations/{evaluation_id}/summary.md",
    summary="The verdict in Markdown",
    response_class=Response,
    responses=_sent("A table and the reason.", "text/markdown"),
)
def get_evaluation_summary(tenant: Tenant, evaluation_id: EvaluationId, services: Serving) -> Response:
    """For a CI job's summary."""
    return _send(services.evaluations.document(tenant, evaluation_id, "markdown"), "text/markdown; charset=utf-8")


@router.get(
    "/v1/evaluations/{evaluation_id}/det.svg",
    summary="The DET curve",
    response_class=Response,
    responses=_sent("New scores over the baseline.", "image/svg+xml"),
)
def get_evaluation_det(tenant: Tenant, evaluation_id: EvaluationId, services: Serving) -> Response:
    """FNMR over FMR; of searches FNIR over FPIR, in the widest galleries. Both axes are logarithmic."""
    return _send(services.evaluations.document(tenant, evaluation_id, "det"), "image/svg+xml")


@router.get(
    "/v1/evaluations/{evaluation_id}/galleries.svg",
    summary="FNIR over gallery sizes",
    response_class=Response,
    responses=_sent("A curve for real, synthetic and mixed others; what is extrapolated is dashed.", "image/svg+xml"),
)
def get_evaluation_galleries(tenant: Tenant, evaluation_id: EvaluationId, services: Serving) -> Response:
    """Of templates that were searched, at the first FPIR."""
    return _send(services.evaluations.document(tenant, evaluation_id, "galleries"), "image/svg+xml")


@router.get(
    "/v1/evaluations/{evaluation_id}/rank-one.svg",
    summary="Missed at rank one, over gallery sizes",
    response_class=Response,
    responses=_sent("A curve for real, synthetic and mixed others.", "image/svg+xml"),
)
def get_evaluation_rank_one(tenant: Tenant, evaluation_id: EvaluationId, services: Serving) -> Response:
    """Of templates that were searched."""
    return _send(services.evaluations.document(tenant, evaluation_id, "rank_one"), "image/svg+xml")


@router.get(
    "/v1/evaluations/{evaluation_id}/report.html",
    summary="What came of searches, as a page",
    response_class=Response,
    responses=_sent("One file that loads nothing.", "text/html"),
)
def get_evaluation_report(tenant: Tenant, evaluation_id: EvaluationId, services: Serving) -> Response:
    """Verdict, charts and tables of candidate lists, or of templates that were searched."""
    page = services.evaluations.document(tenant, evaluation_id, "page")
    return _send(page, "text/html; charset=utf-8", styles="style-src 'unsafe-inline'; ")


def _send(body: bytes, media_type: str, styles: str = "") -> Response:
    # It holds names that users chose: whatever they are, a browser must not run them, or fetch anything.
    return Response(
        body, media_type=media_type, headers={"Content-Security-Policy": f"default-src 'none'; {styles}sandbox"}
    )
