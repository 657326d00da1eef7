"""Downloads: manifest, comparisons, contact sheet, report, documents about the set, samples, archive."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from app.api.deps import DatasetId, SampleName, Serving, SheetNumber, Tenant
from app.api.downloads import TO_BE_ASKED, prefers_html, send_product
from app.api.openapi import bytes_of, errors, headers
from app.dataset import products
from app.dataset.layout import Layout
from app.dataset.products import Product
from app.jobs.datasets.products import Download, ProductService

router = APIRouter(tags=["products"])

RETRY_AFTER_S = 2
"""Small sets are laid out in a second or two."""

RouteT = TypeVar("RouteT", bound=Callable[..., Response])


class ArchiveQuery(BaseModel):
    """Which archive."""

    model_config = ConfigDict(extra="forbid")

    layout: Layout = Field(
        Layout.PLAIN,
        description="`plain`: the files as the manifest lists them, in one uncompressed tar; or as a matcher's test "
        "harness reads them.",
    )


class LayoutBeingMade(BaseModel):
    """A layout that is being made."""

    layout: Layout
    state: Literal["being_made"] = "being_made"
    detail: str = Field(description="What to do, for people.")


class ReportQuery(BaseModel):
    """Which form of the report."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["html", "json"] | None = Field(
        None,
        description="html: one page to read and to print; json: every figure. Left out, as the Accept header prefers, "
        "and json where it prefers neither.",
    )


def wants_page(request: Request, query: ReportQuery) -> bool:
    """Whether a report is to be sent as a page: as the query says, or else as the Accept header prefers."""
    return query.format == "html" or (query.format is None and prefers_html(request.headers.get("accept", "")))


def send_report(
    request: Request, service: ProductService, report: Download, *, page: bool, cache_control: str = TO_BE_ASKED
) -> Response:
    """Answer GET or HEAD for a report, as a page that may do nothing or as data."""
    answer = send_product(request, service, report, "inline" if page else "attachment", cache_control=cache_control)
    answer.headers["Vary"] = "Accept"
    if page:
        answer.headers["Content-Security-Policy"] = PAGE_POLICY
    return answer


PAGE_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
"""The page loads nothing and runs nothing; it says so itself as well, for when it lies on a disk."""

_RANGE = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "One range of bytes, e.g. `bytes=1000-`.",
    "schema": {"type": "string"},
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "ETags that you have; 304 if the product has one of them.",
    "schema": {"type": "string"},
}
_IF_RANGE = {
    "name": "If-Range",
    "in": "header",
    "required": False,
    "description": "The ETag of what you have a part of.",
    "schema": {"type": "string"},
}
_CONDITIONS = {"parameters": [_RANGE, _IF_RANGE, _IF_NONE_MATCH]}


def sent(description: str, *media_types: str, also: tuple[int, ...] = ()) -> dict[int | str, dict[str, Any]]:
    """Document the answers of a download."""
    whole = headers(
        ETag="Changes when a byte does.",
        Accept_Ranges="`bytes`.",
        Content_Disposition="A file name to save it under.",
    )
    return {
        200: {"description": description, "content": bytes_of(*media_types), "headers": whole},
        206: {
            "description": "The range that was asked for.",
            "content": {media_type: {} for media_type in media_types},
            "headers": {**whole, **headers(Content_Range="Which bytes of how many.")},
        },
        304: {"description": "You have it already.", "headers": headers(ETag="As sent.")},
        **errors(404, 416, *also),
    }


def download(
    router: APIRouter, path: str, summary: str, responses: dict[int | str, dict[str, Any]]
) -> Callable[[RouteT], RouteT]:
    """Route GET, in the document, and HEAD, beside it, to a function."""

    def register(endpoint: RouteT) -> RouteT:
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            summary=summary,
            response_class=Response,
            responses=responses,
            openapi_extra=_CONDITIONS,
        )
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        return endpoint

    return register


class Told(NamedTuple):
    """What the document tells of a product's route."""

    product: Product
    summary: str
    sent: str
    """What is sent."""
    about: str


TOLD = (
    Told(
        products.MANIFEST,
        "Download the manifest",
        "What is known of the set, and a line for each sample.",
        "JSON: request, seed, model, counts, shortfall, digests, then every sample with its digests.",
    ),
    Told(
        products.COMPARISONS,
        "Download the list of comparisons",
        "Which samples to compare.",
        "CSV: a line for each mated and non-mated comparison.",
    ),
    Told(
        products.CONTACT_SHEET,
        "See some of the samples",
        "A picture of a few subjects' samples.",
        "PNG: a row a subject, a column a sample.",
    ),
    Told(
        products.CROISSANT,
        "Download the Croissant metadata",
        "The set in the words of Croissant 1.1.",
        "JSON-LD: files with digests, record sets of samples and comparisons, licence, use cases, limits.",
    ),
    Told(
        products.DATA_CARD,
        "Download the data card",
        "What the set is, for people.",
        "Markdown with a YAML head: what, why, how, limits, provenance.",
    ),
    Told(
        products.PROVENANCE,
        "Download where the set comes from",
        "The chain from request and corpus to the set.",
        "JSON-LD in the words of PROV-O: request, plan, model, training corpus, dataset, each with its digest.",
    ),
    Told(
        products.TEMPLATES,
        "Download the templates",
        "Templates of all samples, of a set of which no image is kept.",
        "NPZ, as numpy reads it: ids, subjects, roles, templates (a row a sample), matcher, synthetic.",
    ),
)
"""Products with a path of their own and one form; the report has two."""


def _register(told: Told) -> None:
    product = told.product

    def send(request: Request, tenant: Tenant, dataset_id: DatasetId, services: Serving) -> Response:
        found = services.products.product(tenant, dataset_id, product)
        return send_product(request, services.products, found, "inline" if product.shown else "attachment")

    send.__name__, send.__doc__ = f"download_{product.name}", told.about
    path = f"/v1/datasets/{{dataset_id}}/{product.path}"
    download(router, path, told.summary, sent(told.sent, product.media_type, also=(409,)))(send)


for _told in TOLD:
    _register(_told)


@download(
    router,
    "/v1/datasets/{dataset_id}/report",
    "Read the report",
    sent("What was measured of the set.", "application/json", "text/html; charset=utf-8", also=(409, 422)),
)
def download_report(
    request: Request,
    tenant: Tenant,
    dataset_id: DatasetId,
    query: Annotated[ReportQuery, Query()],
    services: Serving,
) -> Response:
    """How hard the set is, how unlike each other its subjects are, what was rejected, and what not to conclude."""
    page = wants_page(request, query)
    product = products.REPORT_PAGE if page else products.REPORT
    return send_report(request, services.products, services.products.product(tenant, dataset_id, product), page=page)


@download(
    router,
    "/v1/datasets/{dataset_id}/samples/{name}",
    "Download one sample",
    sent("The image, as in the archive.", "image/png", "image/jpeg"),
)
def download_sample(
    request: Request, tenant: Tenant, dataset_id: DatasetId, name: SampleName, services: Serving
) -> Response:
    """There as soon as its shard is done, so before the dataset is."""
    product = services.products.sample(tenant, dataset_id, name)
    return send_product(request, services.products, product, "inline")


@download(
    router,
    "/v1/datasets/{dataset_id}/thumbnails/{sheet}",
    "See many samples at once",
    sent("Small pictures of a hundred samples or more, on one sheet.", "image/jpeg", also=(422,)),
)
def download_thumbnails(
    request: Request, tenant: Tenant, dataset_id: DatasetId, sheet: SheetNumber, services: Serving
) -> Response:
    """JPEG: tiles row by row, as `/samples` tells of each sample. There as soon as its shard is done; sets of an
    older version have none."""
    product = services.products.thumbnails(tenant, dataset_id, sheet)
    return send_product(request, services.products, product, "inline")


BEING_MADE: dict[int | str, dict[str, Any]] = {
    202: {
        "model": LayoutBeingMade,
        "description": "This layout is made for the first time now; ask again.",
        "headers": headers(Retry_After="Seconds until it is worth asking again."),
    }
}
"""Documents the answer while a layout is being made."""


def being_made(layout: Layout) -> Response:
    """Answer that a layout is on its way."""
    pending = LayoutBeingMade(
        layout=layout, detail=f"layout {layout.value!r} is being made; ask again with the same request"
    )
    return JSONResponse(pending.model_dump(), 202, {"Retry-After": str(RETRY_AFTER_S)})


@download(
    router,
    "/v1/datasets/{dataset_id}/samples/{name}/c2pa",
    "Download the C2PA manifest of one sample",
    sent("The manifest that lies beside the sample's file.", "application/c2pa"),
)
def download_sidecar(
    request: Request, tenant: Tenant, dataset_id: DatasetId, name: SampleName, services: Serving
) -> Response:
    """Only where `marking.c2pa` is `detached`; else the manifest is in the file itself, or there is none."""
    product = services.products.sidecar(tenant, dataset_id, name)
    return send_product(request, services.products, product, "attachment")


@download(
    router,
    "/v1/datasets/{dataset_id}/archive",
    "Download everything",
    BEING_MADE | sent("One tar, or a ZIP file.", "application/x-tar", "application/zip", also=(409, 422)),
)
def download_archive(
    request: Request,
    tenant: Tenant,
    dataset_id: DatasetId,
    query: Annotated[ArchiveQuery, Query()],
    services: Serving,
) -> Response:
    """Manifest, comparisons, report, documents and samples, or a layout. What broke off goes on with `Range`.

    A layout that the request did not name is made when it is first asked for (202), once, and kept.
    """
    if not services.layouts.ask(tenant, dataset_id, query.layout):
        return being_made(query.layout)
    product = services.products.archive(tenant, dataset_id, query.layout)
    return send_product(request, services.products, product, "attachment")
