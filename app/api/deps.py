"""What routes are given, as aliases: the services, the tenant who asks, and ids that can be ids."""

import re
import threading
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator

from app.access import ApiKeys, Holder, Role
from app.api.limits import RateLimit
from app.api.looks import Looks
from app.api.metrics import Metrics
from app.config import Settings
from app.dataset.content import SHA256
from app.dataset.evaluation_request import EVALUATION_ID
from app.dataset.model import CARD_NAME
from app.dataset.names import DATASET_ID
from app.dataset.version import LATEST, RELEASE_NAME, VERSION, is_release_name, is_version
from app.errors import NotAllowed, NotAuthenticated, NotFound, Unavailable
from app.jobs.audit import AuditLog
from app.jobs.backlog import BacklogCount
from app.jobs.calibrations.service import CalibrationService
from app.jobs.catalogues.matchers import MatcherCatalogue
from app.jobs.catalogues.models import ModelCatalogue
from app.jobs.datasets.on_demand import LayoutService
from app.jobs.datasets.parts import PartList
from app.jobs.datasets.products import ProductService
from app.jobs.datasets.retention import Retention
from app.jobs.datasets.samples import SampleList
from app.jobs.datasets.service import DatasetService
from app.jobs.estimates import EstimateService
from app.jobs.evaluations.service import EvaluationService
from app.jobs.places import Places
from app.jobs.previews import PreviewService
from app.jobs.releases.products import ReleaseProducts
from app.jobs.releases.service import ReleaseService
from app.jobs.uploads import UploadService
from app.jobs.usage import Usage
from app.jobs.webhooks.service import WebhookService
from app.oidc import Provider
from app.queue import TaskQueue
from app.sessions import COOKIE, CSRF_HEADER, Session, Sessions, same_csrf
from app.storage import ObjectStore
from app.tracing import Tracing

PREVIEW_ID = "^[0-9a-f]{64}$"
CALIBRATION_ID = "^[0-9a-f]{64}$"
SAMPLE_NAME = "^S[0-9]{7}_[0-9]{4}$"


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that routes call, built once in `app.main`."""

    settings: Settings
    store: ObjectStore
    queue: TaskQueue
    api_keys: ApiKeys
    oidc: Provider | None
    """Whose tokens are taken beside API keys."""
    sessions: Sessions
    datasets: DatasetService
    products: ProductService
    samples: SampleList
    releases: ReleaseService
    release_products: ReleaseProducts
    parts: PartList
    retention: Retention
    audit: AuditLog
    layouts: LayoutService
    estimates: EstimateService
    previews: PreviewService
    calibrations: CalibrationService
    uploads: UploadService
    evaluations: EvaluationService
    models: ModelCatalogue
    matchers: MatcherCatalogue
    webhooks: WebhookService
    rate_limit: RateLimit
    metrics: Metrics
    tracing: Tracing
    backlog: BacklogCount
    usage: Usage
    streams: Places
    """Event streams that are open."""
    looks: Looks
    closing: threading.Event
    """Set when the server has been told to stop; long answers end then."""


async def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Serving = Annotated[Services, Depends(_services)]

_bearer = HTTPBearer(
    scheme_name="ApiKey",
    bearerFormat="fcs_…",
    description="An API key, `fcs_…`, as `Authorization: Bearer fcs_…`. It says which tenant is asking. Where the "
    "operator has named an OpenID Connect provider, its tokens are taken, too.",
    auto_error=False,
)


_cookie = APIKeyCookie(
    name=COOKIE,
    scheme_name="Session",
    description="The console's session. What changes something needs the header `X-Facsimile-CSRF` with it.",
    auto_error=False,
)

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


def session_of(request: Request, services: Services, cookie: str) -> Session:
    """The session of a cookie, if the request shows that one of our own pages sent it.

    Raises NotAuthenticated where there is no such session, and where something would be changed without its secret.
    """
    session = services.sessions.find(cookie)
    if request.method not in SAFE and not same_csrf(session, request.headers.get(CSRF_HEADER, "")):
        raise NotAuthenticated(f"with a session's cookie, what changes something needs the header {CSRF_HEADER!r}")
    return session


def _tenant(
    request: Request,
    services: Serving,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    cookie: Annotated[str | None, Security(_cookie)],
) -> str:
    holder = _holder(request, services, credentials.credentials if credentials else None, cookie)
    request.state.tenant = holder.tenant  # for the log line
    request.state.holder = holder
    services.rate_limit.check(holder.tenant, must_count=request.method == "POST")
    needed = needed_role(request.method, request.scope["route"].path)
    if not holder.role.allows(needed):
        raise NotAllowed(
            f"this key has the role {holder.role.value!r}; this needs a key with the role {needed.value!r}"
        )
    return holder.tenant


def _holder(request: Request, services: Services, key: str | None, cookie: str | None) -> Holder:
    if key is not None:
        if services.oidc is not None and not key.startswith("fcs_"):
            return services.oidc.holder_of(key)
        return services.api_keys.holder_of(key)
    if cookie is None or "authorization" in request.headers:
        raise NotAuthenticated("no API key was sent; send 'Authorization: Bearer fcs_…'")
    session = session_of(request, services, cookie)
    holder = services.api_keys.by_id(session.key_id)
    if holder is None:
        raise NotAuthenticated("the session has ended; sign in again")
    return holder


def still_allowed(request: Request, services: Services) -> bool:
    """Whether the key or the session that a long answer was asked with still holds; it blocks. True if nobody knows."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    try:
        _holder(request, services, key.strip() if scheme else None, request.cookies.get(COOKIE))
    except (NotAuthenticated, NotAllowed):
        return False
    except Unavailable:
        return True
    return True


ROLES = {
    ("POST", "/v1/estimates"): Role.READ,
    ("GET", "/v1/webhook"): Role.ADMIN,
    ("PUT", "/v1/webhook"): Role.ADMIN,
    ("DELETE", "/v1/webhook"): Role.ADMIN,
    ("GET", "/v1/keys"): Role.ADMIN,
    ("POST", "/v1/keys"): Role.ADMIN,
    ("DELETE", "/v1/keys/{key_id}"): Role.ADMIN,
    ("GET", "/v1/usage"): Role.ADMIN,
    ("GET", "/v1/workload"): Role.ADMIN,
}
"""What a route needs where its method does not tell: what only looks needs `read`, all else `write`."""


def needed_role(method: str, path: str) -> Role:
    """The least role that a route takes; `path` as it is declared."""
    return ROLES.get((method, path), Role.READ if method in SAFE else Role.WRITE)


Tenant = Annotated[str, Depends(_tenant)]
"""The tenant whose key was sent, the request counted. First in every signature: 401 comes before all else."""


async def _asking(request: Request, _: Tenant) -> Holder:
    found: Holder = request.state.holder
    return found


Asking = Annotated[Holder, Depends(_asking)]
"""Whose key was sent, and what it may do."""


async def _key_id(holder: Asking) -> str:
    return holder.key_id


KeyId = Annotated[str, Depends(_key_id)]
"""Id of the API key that was sent; it is no secret, and says in records who did something."""


MAX_SHOWN = 40
"""Characters that are repeated of what cannot be an id."""


def _spelt(pattern: str, what: str) -> AfterValidator:
    """What cannot be an id is not looked up, and answered like one that is not there: it would be spelt into a key."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern.strip("^$"), value):
            raise NotFound(f"there is no {what} {value[:MAX_SHOWN]!r}")
        return value

    return AfterValidator(check)


def _release_name(value: str) -> str:
    if not is_release_name(value):
        raise NotFound(f"there is no release {value[:MAX_SHOWN]!r}")
    return value


def _release_version(value: str) -> str:
    if value != LATEST and not is_version(value):
        raise NotFound(f"there is no version {value[:MAX_SHOWN]!r}; versions are like 1.2.0 or 1.2.0-rc.1, or latest")
    return value


DatasetId = Annotated[
    str,
    Path(
        description="As `id` in the answer to the request.",
        examples=["ds_06fa3k9x2m7q0v4c8d1e"],
        json_schema_extra={"pattern": DATASET_ID},
    ),
    _spelt(DATASET_ID, "dataset"),
]
PreviewId = Annotated[
    str,
    Path(description="As `X-Preview-Id` or `id` tells.", json_schema_extra={"pattern": PREVIEW_ID}),
    _spelt(PREVIEW_ID, "preview"),
]
SampleName = Annotated[
    str,
    Path(
        description="As `id` in the manifest.",
        examples=["S0000012_0003"],
        json_schema_extra={"pattern": SAMPLE_NAME},
    ),
    _spelt(SAMPLE_NAME, "sample; samples are called like S0000012_0003"),
]
SheetNumber = Annotated[int, Path(ge=0, le=2**31, description="As `sheet` of a listed sample.", examples=[0])]
ModelName = Annotated[
    str,
    Path(description="Its name, or `default`.", json_schema_extra={"pattern": CARD_NAME}),
    _spelt(CARD_NAME, "model"),
]
MatcherName = Annotated[
    str,
    Path(description="Its name.", json_schema_extra={"pattern": CARD_NAME}),
    _spelt(CARD_NAME, "matcher"),
]
CalibrationId = Annotated[
    str,
    Path(description="As `id` in the answer to the question.", json_schema_extra={"pattern": CALIBRATION_ID}),
    _spelt(CALIBRATION_ID, "calibration"),
]
ReleaseName = Annotated[
    str,
    Path(description="The release's name.", examples=["gate-smoke"], json_schema_extra={"pattern": RELEASE_NAME}),
    AfterValidator(_release_name),
]
ReleaseVersion = Annotated[
    str,
    Path(
        description="Its version, or `latest`: the highest that is no pre-release.",
        examples=["1.2.0"],
        json_schema_extra={"pattern": f"^latest$|{VERSION}"},
    ),
    AfterValidator(_release_version),
]
ReleaseDigest = Annotated[
    str,
    Path(description="As `digest` in a release's record.", json_schema_extra={"pattern": SHA256}),
    _spelt(SHA256, "release"),
]
EvaluationId = Annotated[
    str,
    Path(
        description="As `id` in the answer to the request.",
        examples=["ev_06fa3k9x2m7q0v4c8d1e"],
        json_schema_extra={"pattern": EVALUATION_ID},
    ),
    _spelt(EVALUATION_ID, "evaluation"),
]
UploadId = Annotated[
    str,
    Path(description="SHA-256 of the file's bytes, in hexadecimal.", json_schema_extra={"pattern": SHA256}),
    _spelt(SHA256, "upload; an upload is called by the SHA-256 of its bytes"),
]
