"""The cluster's files: built by kubectl, valid by the published schemas, and as careful as their comments say."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.api import health
from app.config import Settings
from app.jobs.backlog import Backlog
from app.queue import make_celery

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="extra lint")
keda = pytest.importorskip("cloudcoil.models.keda.v1alpha1", reason="extra lint")

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = Path(sys.executable).with_name("kubectl")
OURS = {"api", "worker", "worker-gpu", "beat"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send, with the component for GPUs as well."""
    if not KUBECTL.exists():
        pytest.skip("kubectl comes with the extra lint")
    folder = tmp_path_factory.mktemp("cluster") / "kubernetes"
    shutil.copytree(ROOT / "deploy" / "kubernetes", folder)
    example = folder / "example"
    shutil.copy(example / "secrets.env.example", example / "secrets.env")
    text = (example / "kustomization.yaml").read_text()
    assert "  # - ../gpu\n" in text
    (example / "kustomization.yaml").write_text(text.replace("  # - ../gpu\n", "  - ../gpu\n"))
    made = subprocess.run(
        [str(KUBECTL), "kustomize", str(example)], capture_output=True, text=True, check=True, timeout=60
    )
    return list(yaml.safe_load_all(made.stdout))


def of_kind(built: list[dict[str, Any]], *kinds: str) -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document for document in built if document["kind"] in kinds}


def pods(built: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = of_kind(built, "Deployment", "StatefulSet")
    return {name: document["spec"]["template"]["spec"] for name, document in found.items()}


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in container.get("env", [])}


def test_every_document_is_valid_by_its_schema(built: list[dict[str, Any]]) -> None:
    assert len(built) > 15
    for document in built:
        if document["kind"] == "ScaledObject":
            keda.ScaledObject.model_validate(document)
        else:
            kubernetes_validate.validate(document, "1.32", strict=True)


def test_a_typing_error_would_be_seen(built: list[dict[str, Any]]) -> None:
    worker = of_kind(built, "Deployment")["worker"]
    spoilt = {**worker, "spec": {**worker["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(spoilt, "1.32", strict=True)


def test_no_pod_may_do_more_than_it_must(built: list[dict[str, Any]]) -> None:
    found = pods(built)
    assert set(found) == OURS | {"queue", "s3"}
    for name, pod in found.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"] + pod.get("initContainers", []):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name
        assert all("livenessProbe" in container for container in pod["containers"]), name


def test_each_pod_knows_the_secrets_that_it_needs_and_no_other(built: list[dict[str, Any]]) -> None:
    known = {}
    for name, pod in pods(built).items():
        for container in pod["containers"] + pod.get("initContainers", []):
            sources = [entry.get("valueFrom", {}).get("secretKeyRef") for entry in container.get("env", [])]
            assert not any("secretRef" in source for source in container.get("envFrom", [])), name
            known[f"{name}/{container['name']}"] = {source["key"] for source in sources if source}
        assert "secret" not in yaml.safe_dump(pod.get("volumes", [])), name
    worker = {"store-worker-access-key", "store-worker-secret-key", "queue-password"}
    users = {f"store-{whose}-{what}-key" for whose in ("api", "worker") for what in ("access", "secret")}
    assert known == {
        "api/api": {"store-api-access-key", "store-api-secret-key", "queue-password"},
        "worker/worker": worker | {"watermark-key"},
        "worker-gpu/worker": worker | {"watermark-key"},
        "beat/beat": worker,
        "queue/valkey": {"queue-password"},
        "s3/users": users,
        "s3/s3": set(),
    }
    (secret,) = of_kind(built, "Secret").values()
    assert set(secret["data"]) == users | {"queue-password"}


def test_no_secret_stands_in_a_document_but_the_secret(built: list[dict[str, Any]]) -> None:
    for document in built:
        if document["kind"] != "Secret":
            assert "change-me" not in yaml.safe_dump(document)


def test_a_worker_has_time_to_end_its_shard(built: list[dict[str, Any]]) -> None:
    for name in ("worker", "worker-gpu"):
        pod = pods(built)[name]
        given = environment(pod["containers"][0])
        assert given["REMAP_SIGTERM"] == "SIGQUIT"
        assert 0 < float(given["FACSIMILE_QUEUE__SOFT_SHUTDOWN_S"]) < pod["terminationGracePeriodSeconds"]


def test_the_settings_are_ones_that_facsimile_reads(
    built: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {}
    for document in of_kind(built, "ConfigMap").values():
        values |= document["data"]
    for pod in pods(built).values():
        for container in pod["containers"]:
            values |= {name: value or "a-secret-of-16-letters" for name, value in environment(container).items()}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.store.endpoint == "s3:9000"
    assert settings.queue.soft_shutdown_s == 150
    assert settings.worker.device == "cuda"
    assert make_celery(settings.queue).conf.worker_soft_shutdown_timeout == 150


def test_policies_let_through_what_is_needed_and_no_more(built: list[dict[str, Any]]) -> None:
    policies = of_kind(built, "NetworkPolicy")
    assert policies["nothing-but"]["spec"]["podSelector"] == {}
    assert policies["nothing-but"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policies["nothing-but"]["spec"]
    for server in ("queue", "s3"):
        (rule,) = policies[server]["spec"]["ingress"]
        (peer,) = rule["from"]
        (expression,) = peer["podSelector"]["matchExpressions"]
        assert set(expression["values"]) == OURS


def test_workers_are_scaled_on_what_the_api_counts(built: list[dict[str, Any]]) -> None:
    scaled = of_kind(built, "ScaledObject")["worker"]["spec"]
    (trigger,) = scaled["triggers"]
    url = httpx.URL(trigger["metadata"]["url"])
    assert url.host.split(".")[0] in of_kind(built, "Service")
    assert url.path in {getattr(route, "path", "") for route in health.router.routes}
    assert trigger["metadata"]["valueLocation"] in Backlog.model_fields
    assert "replicas" not in of_kind(built, "Deployment")["worker"]["spec"], "two masters of one number"
