"""Settings: read from the environment, and refused where a secret was left at its placeholder."""

import pytest
from pydantic import ValidationError

from app.config import DEVELOPMENT_WATERMARK_KEY, Settings, watermark_key, worker_settings
from app.errors import Misconfigured

REAL = {
    "FACSIMILE_STORE__ACCESS_KEY": "AKFACSIMILE",
    "FACSIMILE_STORE__SECRET_KEY": "8c1f0a",
    "FACSIMILE_QUEUE__URL": "redis://:5d41402a@queue:6379/0",
}


@pytest.fixture(autouse=True)
def _only_these(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("FACSIMILE_"):
            monkeypatch.delenv(name)
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("said", "meant"),
    [("", None), ("s3.example:9000", "s3.example:9000"), ("https://s3.example", "https://s3.example")],
)
def test_where_clients_reach_the_store(said: str, meant: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().store.public_endpoint is None
    monkeypatch.setenv("FACSIMILE_STORE__PUBLIC_ENDPOINT", said)
    assert Settings().store.public_endpoint == meant


NONE = ["https://s3/a", "s3/", "ftp://s3", "https://u:p@s3", "s3:x", "https://s3?a", "//s3", ":9"]


@pytest.mark.parametrize("said", NONE)
def test_what_is_no_endpoint_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACSIMILE_STORE__PUBLIC_ENDPOINT", said)
    with pytest.raises(Misconfigured, match="FACSIMILE_STORE__PUBLIC_ENDPOINT"):
        Settings()


def test_variables_reach_their_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACSIMILE_STORE__ENDPOINT", "s3:9000")
    monkeypatch.setenv("FACSIMILE_STORE__SECURE", "true")
    monkeypatch.setenv("FACSIMILE_SHARD_SIZE", "50")
    monkeypatch.setenv("FACSIMILE_LIMITS__PREVIEW_SUBJECTS", "3")
    settings = Settings()
    assert settings.environment == "production"
    assert settings.store.endpoint == "s3:9000"
    assert settings.store.secure
    assert settings.store.bucket == "facsimile"
    assert settings.shard_size == 50
    assert settings.limits.preview_subjects == 3
    assert settings.store.secret_key.get_secret_value() == "8c1f0a"


@pytest.mark.parametrize("name", ["FACSIMILE_STORE__ACCESS_KEY", "FACSIMILE_STORE__SECRET_KEY"])
@pytest.mark.parametrize("value", ["", "change-me", " Change-Me ", "minioadmin", "password", None])
def test_placeholders_of_the_store_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name)
    with pytest.raises(Misconfigured, match=f"{name} is left at its placeholder"):
        Settings()
    monkeypatch.setenv("FACSIMILE_ENVIRONMENT", "development")
    assert Settings().environment == "development"


@pytest.mark.parametrize("url", ["redis://:change-me@queue:6379/0", "redis://:@queue:6379/0", "redis://u:secret@q/1"])
def test_placeholders_of_the_queue_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("FACSIMILE_QUEUE__URL", url)
    with pytest.raises(Misconfigured, match="password in FACSIMILE_QUEUE__URL"):
        Settings()


def test_a_queue_without_a_password_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACSIMILE_QUEUE__URL", "redis://127.0.0.1:6379/0")
    assert Settings().queue.url.get_secret_value() == "redis://127.0.0.1:6379/0"


def test_secrets_do_not_show() -> None:
    settings = Settings()
    assert "8c1f0a" not in repr(settings)
    assert "5d41402a" not in repr(settings)
    assert "8c1f0a" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FACSIMILE_STORE__END_POINT", "s3:9000"),  # misspelt
        ("FACSIMILE_SHARD_SIZE", "0"),
        ("FACSIMILE_QUEUE__VISIBILITY_TIMEOUT_S", "60"),
        ("FACSIMILE_WORKER__DEVICE", "tpu"),
        ("FACSIMILE_ENVIRONMENT", "staging"),
    ],
)
def test_values_that_make_no_sense_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured):
        Settings()


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().shard_size = 1


def test_a_workers_settings_alone_ask_for_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACSIMILE_WORKER__MODELS_DIR", "/models")
    monkeypatch.setenv("FACSIMILE_ENVIRONMENT", "production")
    monkeypatch.setenv("FACSIMILE_STORE__SECRET_KEY", "change-me")
    assert worker_settings().models_dir == "/models"


@pytest.mark.parametrize("key", ["change-me", "short", "facsimile development watermark", ""])
def test_a_watermark_key_that_proves_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("FACSIMILE_WORKER__WATERMARK_KEY", key)
    for environment in ("production", "embedded"):
        monkeypatch.setenv("FACSIMILE_ENVIRONMENT", environment)
        with pytest.raises(Misconfigured, match="FACSIMILE_WORKER__WATERMARK_KEY"):
            Settings()
    monkeypatch.setenv("FACSIMILE_ENVIRONMENT", "development")
    assert Settings().watermark_key == key


def test_without_a_watermark_key_only_development_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().watermark_key is None
    monkeypatch.setenv("FACSIMILE_ENVIRONMENT", "development")
    assert Settings().watermark_key == DEVELOPMENT_WATERMARK_KEY == watermark_key()
    monkeypatch.setenv("FACSIMILE_WORKER__WATERMARK_KEY", "one of our own, long enough")
    assert Settings().watermark_key == watermark_key() == "one of our own, long enough"


def test_a_self_made_certificate_is_not_for_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACSIMILE_WORKER__C2PA__SELF_MADE", "/data/c2pa")
    with pytest.raises(Misconfigured, match="vouches for nobody"):
        Settings()
    monkeypatch.setenv("FACSIMILE_ENVIRONMENT", "embedded")
    assert Settings().worker.c2pa.self_made == "/data/c2pa"


def test_a_certificate_without_its_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACSIMILE_WORKER__C2PA__CERTIFICATE", "/c.pem")
    with pytest.raises(Misconfigured, match="certificate and key, or neither"):
        Settings()
