"""One settings object, read once from FACSIMILE_* variables and handed down.

Nested groups use two underscores: FACSIMILE_STORE__ENDPOINT, FACSIMILE_QUEUE__URL.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from app.errors import Misconfigured
from app.numerals import PlainNumbers

PLACEHOLDERS = frozenset({"", "change-me", "changeme", "change_me", "placeholder", "secret", "password", "minioadmin"})


class StoreSettings(PlainNumbers):
    """Where the S3 server is and how to sign for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = "127.0.0.1:8333"
    """host:port, no scheme."""
    access_key: str = "change-me"
    """Name of the S3 user."""
    secret_key: SecretStr = SecretStr("change-me")
    """Its secret."""
    bucket: str = "facsimile"
    """Made by the API at its start if it is not there."""
    region: str = "us-east-1"
    """What the server calls its region; part of every signature."""
    secure: bool = False
    """TLS to the S3 server."""
    timeout_s: float = Field(10.0, gt=0)
    """For one request; connecting has a third of it."""
    public_endpoint: str | None = None
    """Where clients reach the same server, for presigned URLs: host:port (TLS as `secure` says), or http(s)://host[:port].
    None, or empty: they do not, and every byte goes through the API."""
    presigned_s: int = Field(900, gt=0, le=3600)
    """How long a presigned URL holds; whoever has it can read one object without a key for so long."""

    @field_validator("public_endpoint")
    @classmethod
    def _is_an_endpoint(cls, value: str | None) -> str | None:
        if not value:
            return None
        parts = urlsplit(value if "://" in value else f"//{value}")
        named = parts.hostname is not None and parts.port != 0  # a port that is no number raises by itself
        if (
            not named
            or "@" in value
            or value not in (parts.netloc, f"http://{parts.netloc}", f"https://{parts.netloc}")
        ):
            raise ValueError("it is host:port, or a URL without user and path, like https://s3.example:9000")
        return value


class QueueSettings(PlainNumbers):
    """Where the Redis-protocol server is, and how tasks behave on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """redis://:PASSWORD@HOST:PORT/NUMBER."""
    timeout_s: float = Field(2.0, gt=0)
    """For one call; a queue that takes longer counts as away."""
    visibility_timeout_s: int = Field(3600, gt=60)
    """A task unacknowledged for this long is delivered again; must exceed the longest task by far. One that is not done
    in half of it is ended."""
    soft_shutdown_s: float = Field(0.0, ge=0)
    """Seconds that a worker which is told to go (SIGQUIT) may take to end what it has begun; 0: it goes at once."""
    reconcile_interval_s: float = Field(15.0, gt=0)
    """How often unfinished datasets are looked over."""
    retain_interval_s: float = Field(3600.0, gt=0)
    """How often datasets past their retention are looked for."""
    preview_expires_s: int = Field(300, gt=0)
    """A contact sheet that is not begun so long after it was asked for is made for nobody any more."""
    running_marker_s: int = Field(60, gt=0)
    """How long a silent worker is believed to be working."""

    @property
    def longest_task_s(self) -> int:
        """After so long a task is told to end, a moment before its process is killed."""
        return self.visibility_timeout_s // 2 * 29 // 30


class LimitSettings(PlainNumbers):
    """What one request and one tenant may ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples_per_dataset: int = Field(2_000_000, gt=0)
    """Asked for in one request."""
    comparisons_per_dataset: int = Field(20_000_000, gt=0)
    """Listed for one dataset; a larger selection is refused."""
    unfinished_datasets_per_tenant: int = Field(1_000, gt=0)
    """Accepted and not ended."""
    unfinished_calibrations: int = Field(100, gt=0)
    """Of all tenants together: a calibration is the model's."""
    unfinished_calibrations_per_tenant: int = Field(10, gt=0)
    """Of those, so many may have been asked for by one tenant."""
    requests_per_minute_per_tenant: int = Field(6_000, gt=0)
    """Beyond, 429 with Retry-After."""
    retention_days_per_tenant: int | None = Field(None, ge=1)
    """A dataset is deleted so many days after it ended, unless its request says otherwise; None keeps it."""
    body_bytes: int = Field(64 * 1024, gt=0)
    """Of a request in JSON."""
    preview_subjects: int = Field(8, gt=0)
    """Rows of a contact sheet for choosing."""
    preview_samples_per_subject: int = Field(8, gt=0)
    """Its columns."""
    previews_waiting_per_tenant: int = Field(16, gt=0)
    """Contact sheets that are asked for and not begun."""
    preview_wait_s: float = Field(20.0, gt=0)
    """How long a request for one waits for it; then it is told where to ask again."""
    upload_bytes: int = Field(16 * 2**30, gt=0)
    """Of one file of scores or templates; 100 million scores are about 4 GB of CSV."""
    uploads_per_tenant: int = Field(100, gt=0)
    """Kept at a time."""
    upload_bytes_per_tenant: int = Field(256 * 2**30, gt=0)
    """Of all uploads of a tenant that are kept at a time; one more is not begun where they are used up."""
    uploads_at_once: int = Field(8, gt=0)
    """Being received by one process of the API: each holds a thread while it lasts."""
    uploads_at_once_per_tenant: int = Field(2, gt=0)
    """Of those, so many may be one tenant's."""
    upload_bytes_per_second: int = Field(8 * 1024, ge=0)
    """A body that comes more slowly over half a minute is broken off; what waits for the store does not count."""
    streams_at_once: int = Field(500, gt=0)
    """Event streams that one process of the API keeps open."""
    streams_per_tenant: int = Field(50, gt=0)
    """Of those, so many may be one tenant's."""
    upload_hours: float = Field(168.0, gt=0)
    """An upload that no evaluation was asked of is removed after so long."""
    unfinished_evaluations_per_tenant: int = Field(100, gt=0)
    """Accepted and not ended."""


class OidcSettings(PlainNumbers):
    """Whose tokens are taken beside API keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = ""
    """An OpenID Connect provider, as its tokens' `iss` says it; left out, only API keys are taken."""
    audience: str = "facsimile"
    """Tokens must be meant for this (`aud`)."""
    jwks_url: str | None = None
    """Where its keys are; left out, its discovery document says so."""
    tenant_claim: str = "tenant"
    """Which claim names the tenant; dots lead into objects."""
    role_claim: str = "roles"
    """Which claim has the role: a list, or words."""
    role_prefix: str = ""
    """Stands before `read`, `write` or `admin` there, like `facsimile-`."""
    leeway_s: float = Field(30.0, ge=0, le=300)
    """How far its clock may be off."""

    @model_validator(mode="after")
    def _over_tls(self) -> Self:
        for url in filter(None, (self.issuer, self.jwks_url)):
            parts = urlsplit(url)
            if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
                raise ValueError(f"{url} must begin with https://, or keys could be forged on the way")
        return self


class WebhookSettings(PlainNumbers):
    """How the API tells tenants' own servers that something has ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_private: bool = False
    """Send to loopback and private networks, and over http, too; only where tenants may reach what the API does."""
    timeout_s: float = Field(10.0, gt=0, le=30)
    """A receiver that has not answered so soon has not taken the event."""
    give_up_hours: float = Field(24.0, gt=0)
    """An event that was not taken for so long is dropped."""


class C2paSettings(PlainNumbers):
    """With what C2PA manifests are signed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: str | None = None
    """PEM file: the signing certificate first, then those above it."""
    key: str | None = None
    """PEM file (PKCS#8) of its private key: P-256, P-384, P-521 or Ed25519."""
    self_made: str | None = None
    """A folder for a certificate that vouches for nobody, made at first use; for development and the embedded stack."""
    timestamp_url: str | None = None
    """An RFC 3161 time-stamp authority; None asks none, and signatures then end with their certificate."""

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("give certificate and key, or neither")
        return self


EMBEDDED_TENANT = "local"
"""Whose the embedded stack's own key is."""

DEVELOPMENT_WATERMARK_KEY = "facsimile development watermark"
"""Used in development where no key is set; everybody knows it, so what it marks proves nothing."""

SHORTEST_WATERMARK_KEY = 16
"""Characters."""


class WorkerSettings(PlainNumbers):
    """How a worker makes samples. None of these changes a pixel but the watermark's key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int = Field(32, gt=0)
    """Samples between two looks at the cancel marker."""
    encoder_threads: int = Field(2, gt=0)
    """Threads that write images of one worker process."""
    models_dir: str | None = None
    """A folder of further models (NAME/card.json, NAME/weights.safetensors)."""
    default_model: str | None = None
    """Which model `default` means; the newest rule is in workers.generator.registry."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks run; `auto` takes a GPU if there is one."""
    reference: str | None = None
    """A file of `facsimile matchers reference`: thresholds on real faces, which reports read sets against."""
    matchers_dir: str | None = None
    """A folder of further matchers (NAME/card.json beside the ONNX file that it names)."""
    ofiq: str | None = None
    """Path of OFIQ's sample application, or of a program that takes its arguments; see workers.matchers.ofiq."""
    ofiq_data: str | None = None
    """OFIQ's data folder: ofiq_config.jaxn and the models beside it."""
    max_deaths: int = Field(5, gt=0)
    """A shard that a worker has died on this often fails its dataset."""
    watermark_key: SecretStr | None = None
    """Secret of the watermark, the same on every worker; whoever has it can find the watermark, and take it out."""
    c2pa: C2paSettings = C2paSettings()


@contextmanager
def variables_named() -> Iterator[None]:
    """Turns what pydantic says of a wrong setting into a line that names its variable; raises Misconfigured."""
    try:
        yield
    except ValidationError as exc:
        problems = []
        for error in exc.errors():
            variable = "FACSIMILE_" + ("__".join(str(part) for part in error["loc"]).upper() or "*")
            problems.append(f"{variable}: {error['msg'].removeprefix('Value error, ')}")
        raise Misconfigured("; ".join(problems)) from exc
    except SettingsError as exc:
        raise Misconfigured(f"FACSIMILE_*: {exc}; a group of settings is written as FACSIMILE_GROUP__NAME") from exc


class Settings(PlainNumbers, BaseSettings):
    """All settings of the API and the workers."""

    model_config = SettingsConfigDict(env_prefix="FACSIMILE_", env_nested_delimiter="__", frozen=True, extra="ignore")

    environment: Literal["production", "embedded", "development"] = "production"
    """`development` accepts placeholder secrets and has a watermark key that everybody knows; `embedded`, the stack on
    one machine, is as strict as production, but a self-made C2PA certificate will do, as in development."""
    store: StoreSettings = StoreSettings()
    queue: QueueSettings = QueueSettings()
    limits: LimitSettings = LimitSettings()
    worker: WorkerSettings = WorkerSettings()
    webhooks: WebhookSettings = WebhookSettings()
    oidc: OidcSettings = OidcSettings()
    backup: StoreSettings = StoreSettings()
    """The server that `facsimile backup s3://…` writes to; its bucket stands in the command."""
    shard_size: int = Field(192, gt=0)
    """Samples a task makes at the most; about a minute of work or less. Best a multiple of the batch."""
    shards_per_dataset: int = Field(16, gt=0)
    """A set too small for so many full shards is cut finer, so that all workers help and progress is seen."""
    operators: str | None = None
    """The tenant that runs the service: its admins see what every tenant has. Left out, on the embedded stack its own
    (`local`), elsewhere none."""
    metrics_token: SecretStr | None = None
    """What Prometheus sends as a bearer token to read /metrics, which then names tenants; None: anybody may, and it
    names none."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    def __init__(self, **values: Any) -> None:
        """Read the environment; `values` win over it. Raises Misconfigured with the variables that are wrong."""
        with variables_named():
            super().__init__(**values)

    @model_validator(mode="after")
    def _refuse_placeholders(self) -> Self:
        if self.environment != "development":
            password = urlsplit(self.queue.url.get_secret_value()).password
            for name, value, server in (
                ("FACSIMILE_STORE__ACCESS_KEY", self.store.access_key, "S3"),
                ("FACSIMILE_STORE__SECRET_KEY", self.store.secret_key.get_secret_value(), "S3"),
                ("The password in FACSIMILE_QUEUE__URL", password, "queue"),
            ):
                # No password at all is a queue on loopback; a placeholder is a step that was forgotten.
                if value is not None and value.strip().lower() in PLACEHOLDERS:
                    raise Misconfigured(
                        f"{name} is left at its placeholder; set it to the {server} server's own, "
                        "or set FACSIMILE_ENVIRONMENT=development for a throw-away set-up"
                    )
        return self

    @model_validator(mode="after")
    def _refuse_marks_that_prove_nothing(self) -> Self:
        key = self.worker.watermark_key
        if key is not None and self.environment != "development":
            text = key.get_secret_value().strip()
            if text.lower() in PLACEHOLDERS or text == DEVELOPMENT_WATERMARK_KEY or len(text) < SHORTEST_WATERMARK_KEY:
                raise Misconfigured(
                    "FACSIMILE_WORKER__WATERMARK_KEY is a placeholder or too short; set it to a secret of "
                    f"{SHORTEST_WATERMARK_KEY} characters or more, or leave it out to offer no watermark"
                )
        if self.worker.c2pa.self_made is not None and self.environment == "production":
            raise Misconfigured(
                "FACSIMILE_WORKER__C2PA__SELF_MADE is for development: a self-made certificate vouches for nobody; set "
                "FACSIMILE_WORKER__C2PA__CERTIFICATE and FACSIMILE_WORKER__C2PA__KEY to your own"
            )
        return self

    @property
    def operating_tenant(self) -> str | None:
        """The tenant that runs the service; None where none was named."""
        return EMBEDDED_TENANT if self.operators is None and self.environment == "embedded" else self.operators

    @property
    def watermark_key(self) -> str | None:
        """The watermark's key; None where none is set, and in development the one that everybody knows."""
        if self.worker.watermark_key is not None:
            return self.worker.watermark_key.get_secret_value()
        return DEVELOPMENT_WATERMARK_KEY if self.environment == "development" else None


def worker_settings() -> WorkerSettings:
    """What FACSIMILE_WORKER__* says, for commands that touch neither store nor queue: their secrets do not matter."""
    return Settings(environment="development").worker


def watermark_key() -> str:
    """The watermark's key for commands, which touch neither store nor queue; without one set, development's."""
    return Settings(environment="development").watermark_key or DEVELOPMENT_WATERMARK_KEY
