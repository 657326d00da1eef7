"""One settings object, read once from FACSIMILE_* variables and handed down.

Nested groups use two underscores: FACSIMILE_STORE__ENDPOINT, FACSIMILE_QUEUE__URL.
"""

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import Misconfigured

PLACEHOLDERS = frozenset(
    {"", "change-me", "changeme", "change_me", "placeholder", "secret", "password", "minioadmin"}
)


class StoreSettings(BaseModel):
    """Where the S3 server is and how to sign for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = "127.0.0.1:8333"
    """host:port, no scheme."""
    access_key: str = "change-me"
    secret_key: SecretStr = SecretStr("change-me")
    bucket: str = "facsimile"
    region: str = "us-east-1"
    secure: bool = False
    """TLS to the S3 server."""
    timeout_s: float = Field(10.0, gt=0)
    """For one request; connecting has a third of it."""


class QueueSettings(BaseModel):
    """Where the Redis-protocol server is, and how tasks behave on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    timeout_s: float = Field(2.0, gt=0)
    visibility_timeout_s: int = Field(3600, gt=60)
    """A task unacknowledged for this long is delivered again; must exceed the longest task by far."""
    reconcile_interval_s: float = Field(15.0, gt=0)
    """How often unfinished datasets are looked over."""
    retain_interval_s: float = Field(3600.0, gt=0)
    """How often datasets past their retention are looked for."""
    queued_marker_s: int = Field(900, gt=0)
    """How long an enqueued task counts as on its way before it may be enqueued once more."""
    running_marker_s: int = Field(60, gt=0)
    """How long a silent worker is believed to be working."""


class LimitSettings(BaseModel):
    """What one request and one tenant may ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples_per_dataset: int = Field(2_000_000, gt=0)
    comparisons_per_dataset: int = Field(20_000_000, gt=0)
    unfinished_datasets_per_tenant: int = Field(1_000, gt=0)
    unfinished_calibrations: int = Field(100, gt=0)
    """Of all tenants together: a calibration is the model's."""
    requests_per_minute_per_tenant: int = Field(6_000, gt=0)
    retention_days_per_tenant: int | None = Field(None, ge=1)
    """A dataset is deleted so many days after it ended, unless its request says otherwise; None keeps it."""
    body_bytes: int = Field(64 * 1024, gt=0)
    preview_subjects: int = Field(8, gt=0)
    preview_samples_per_subject: int = Field(8, gt=0)
    preview_wait_s: float = Field(20.0, gt=0)
    upload_bytes: int = Field(16 * 2**30, gt=0)
    """Of one file of scores or templates; 100 million scores are about 4 GB of CSV."""
    uploads_per_tenant: int = Field(100, gt=0)
    uploads_at_once: int = Field(8, gt=0)
    """Being received by one process of the API: each holds a thread while it lasts."""
    upload_hours: float = Field(168.0, gt=0)
    """An upload that no evaluation was asked of is removed after so long."""
    unfinished_evaluations_per_tenant: int = Field(100, gt=0)


class WorkerSettings(BaseModel):
    """How a worker makes samples. None of these changes a pixel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int = Field(32, gt=0)
    """Samples between two looks at the cancel marker."""
    encoder_threads: int = Field(2, gt=0)
    models_dir: str | None = None
    """A folder of further models (NAME/card.json, NAME/weights.safetensors)."""
    default_model: str | None = None
    """Which model `default` means; the newest rule is in workers.generator.registry."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    matchers_dir: str | None = None
    """A folder of further matchers (NAME/card.json beside the ONNX file that it names)."""
    ofiq: str | None = None
    """Path of OFIQ's sample application, or of a program that takes its arguments; see workers.matchers.ofiq."""
    ofiq_data: str | None = None
    """OFIQ's data folder: ofiq_config.jaxn and the models beside it."""
    max_deaths: int = Field(5, gt=0)
    """A shard that a worker has died on this often fails its dataset."""


class Settings(BaseSettings):
    """All settings of the API and the workers."""

    model_config = SettingsConfigDict(
        env_prefix="FACSIMILE_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    environment: Literal["production", "development"] = "production"
    """`development` accepts placeholder secrets; nothing else differs."""
    store: StoreSettings = StoreSettings()
    queue: QueueSettings = QueueSettings()
    limits: LimitSettings = LimitSettings()
    worker: WorkerSettings = WorkerSettings()
    shard_size: int = Field(192, gt=0)
    """Samples a task makes at the most; about a minute of work or less. Best a multiple of the batch."""
    shards_per_dataset: int = Field(16, gt=0)
    """A set too small for so many full shards is cut finer, so that all workers help and progress is seen."""
    log_level: str = "INFO"

    @model_validator(mode="after")
    def _refuse_placeholders(self) -> Self:
        if self.environment == "production":
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


def worker_settings() -> WorkerSettings:
    """What FACSIMILE_WORKER__* says, for commands that touch neither store nor queue: their secrets do not matter."""
    return Settings(environment="development").worker
