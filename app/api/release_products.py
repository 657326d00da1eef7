"""Downloads of releases: what their datasets have, under the release's name and for good."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.api.deps import ReleaseName, ReleaseVersion, SampleName, Serving, SheetNumber, Tenant
from app.api.downloads import FOR_EVER, TO_BE_ASKED, send_product
from app.api.openapi import headers
from app.api.products import (
    BEING_MADE,
    ArchiveQuery,
    ReportQuery,
    Told,
    being_made,
    download,
    send_report,
    sent,
    wants_page,
)
from app.dataset import products
from app.dataset.version import LATEST
from app.jobs.datasets.products import Download

router = APIRouter(tags=["releases"])


def _described(description: str, *media_types: str, also: tuple[int, ...] = ()) -> dict[int | str, dict[str, Any]]:
    described = sent(description, *media_types, also=(410, *also))
    described[200]["headers"] |= headers(Cache_Control="Immutable; of `latest`, to be asked for again.")
    return described


def _for_how_long(version: str) -> str:
    return TO_BE_ASKED if version == LATEST else FOR_EVER


def _send(request: Request, services: Serving, product: Download, version: str, *, inline: bool = False) -> Response:
    return send_product(
        request,
        services.release_products.products,
        product,
        "inline" if inline else "attachment",
        cache_control=_for_how_long(version),
    )


TOLD = (
    Told(
        products.MANIFEST,
        "Download a release's manifest",
        "What is known of the set, and a line for each sample.",
        "JSON, as the dataset had it; its SHA-256 is the record's `manifest_sha256`.",
    ),
    Told(
        products.COMPARISONS,
        "Download a release's comparisons",
        "Which samples to compare.",
        "CSV: a line for each mated and non-mated comparison.",
    ),
    Told(
        products.CONTACT_SHEET,
        "See some of a release's samples",
        "A picture of a few subjects' samples.",
        "PNG: a row a subject, a column a sample.",
    ),
    Told(
        products.CROISSANT,
        "Download a release's Croissant metadata",
        "The set in the words of Croissant 1.1.",
        "JSON-LD, as the dataset had it: files with digests, record sets, licence, use cases, limits.",
    ),
    Told(
        products.DATA_CARD,
        "Download a release's data card",
        "What the set is, for people.",
        "Markdown with a YAML head, as the dataset had it: what, why, how, limits, provenance.",
    ),
    Told(
        products.PROVENANCE,
        "Download where a release comes from",
        "The chain from request and corpus to the set.",
        "JSON-LD in the words of PROV-O, as the dataset had it.",
    ),
    Told(
        products.TEMPLATES,
        "Download a release's templates",
        "Templates of all samples, of a release of which no image is kept.",
        "NPZ, as the dataset had it: ids, subjects, roles, templates (a row a sample), matcher, synthetic.",
    ),
)
"""Products with a path of their own and one form; the report has two."""


def _register(told: Told) -> None:
    product = told.product

    def send(
        request: Request, tenant: Tenant, name: ReleaseName, version: ReleaseVersion, services: Serving
    ) -> Response:
        found = services.release_products.product(tenant, name, version, product)
        return _send(request, services, found, version, inline=product.shown)

    send.__name__, send.__doc__ = f"download_release_{product.name}", told.about
    path = f"/v1/releases/{{name}}/{{version}}/{product.path}"
    download(router, path, told.summary, _described(told.sent, product.media_type))(send)


for _told in TOLD:
    _register(_told)


@download(
    router,
    "/v1/releases/{name}/{version}/report",
    "Download a release's report",
    _described("What was measured of the set.", "application/json", "text/html; charset=utf-8", also=(422,)),
)
def download_release_report(
    request: Request,
    tenant: Tenant,
    name: ReleaseName,
    version: ReleaseVersion,
    query: Annotated[ReportQuery, Query()],
    services: Serving,
) -> Response:
    """As the dataset had it: every figure as JSON, or one page to read."""
    page = wants_page(request, query)
    product = products.REPORT_PAGE if page else products.REPORT
    return send_report(
        request,
        services.release_products.products,
        services.release_products.product(tenant, name, version, product),
        page=page,
        cache_control=_for_how_long(version),
    )


@download(
    router,
    "/v1/releases/{name}/{version}/thumbnails/{sheet}",
    "See many samples of a release at once",
    _described("Small pictures of a hundred samples or more, on one sheet.", "image/jpeg", also=(422,)),
)
def download_release_thumbnails(
    request: Request,
    tenant: Tenant,
    name: ReleaseName,
    version: ReleaseVersion,
    sheet: SheetNumber,
    services: Serving,
) -> Response:
    """JPEG: tiles row by row, as the release's `/samples` tells of each sample."""
    product = services.release_products.thumbnails(tenant, name, version, sheet)
    return _send(request, services, product, version, inline=True)


@download(
    router,
    "/v1/releases/{name}/{version}/samples/{sample}",
    "Download one sample of a release",
    _described("The image, as in the archive.", "image/png", "image/jpeg"),
)
def download_release_sample(
    request: Request,
    tenant: Tenant,
    name: ReleaseName,
    version: ReleaseVersion,
    sample: SampleName,
    services: Serving,
) -> Response:
    """By its `id` in the manifest."""
    product = services.release_products.sample(tenant, name, version, sample)
    return _send(request, services, product, version, inline=True)


@download(
    router,
    "/v1/releases/{name}/{version}/samples/{sample}/c2pa",
    "Download the C2PA manifest of one sample of a release",
    _described("The manifest that lies beside the sample's file.", "application/c2pa"),
)
def download_release_sidecar(
    request: Request,
    tenant: Tenant,
    name: ReleaseName,
    version: ReleaseVersion,
    sample: SampleName,
    services: Serving,
) -> Response:
    """Only where `marking.c2pa` was `detached`; else the manifest is in the file itself, or there is none."""
    product = services.release_products.sidecar(tenant, name, version, sample)
    return _send(request, services, product, version)


@download(
    router,
    "/v1/releases/{name}/{version}/archive",
    "Download a whole release",
    BEING_MADE | _described("One tar, or a ZIP file.", "application/x-tar", "application/zip", also=(409, 422)),
)
def download_release_archive(
    request: Request,
    tenant: Tenant,
    name: ReleaseName,
    version: ReleaseVersion,
    query: Annotated[ArchiveQuery, Query()],
    services: Serving,
) -> Response:
    """As the dataset's archive, with the release's record in it (`release.json`), so that it can be verified alone.

    Or a layout, made when it is first asked for (202), once, and kept as long as the release.
    """
    if query.layout.stored:
        dataset = services.release_products.dataset(tenant, name, version)
        if not services.layouts.provide(tenant, dataset, query.layout):
            return being_made(query.layout)
    return _send(request, services, services.release_products.archive(tenant, name, version, query.layout), version)
