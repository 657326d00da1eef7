"""Drives a service from its OpenAPI document, with objects that exist: no 5xx, no answer but the documented ones.

    nice -n 15 python tests/fuzz/fuzz_api.py --count 20000 [--seed 1] [--out failures.json]

It starts a service of its own in a temporary folder, makes a set, a release, evaluations, a preview, keys and uploads
there by its worker, stops the worker, and then sends requests that fit the document and requests that do not, to every
operation alike. Three in four of those with a place for an object's id name one that exists. Exits with 1 where an
answer was wrong, and prints each kind of it once, with the request as a curl command.
"""

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import load_all_checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app.stack.embedded import EmbeddedStack

load_all_checks()

MOST = "1000000000"
SETTINGS = {
    "FACSIMILE_LIMITS__REQUESTS_PER_MINUTE_PER_TENANT": MOST,
    "FACSIMILE_LIMITS__UNFINISHED_DATASETS_PER_TENANT": MOST,
    "FACSIMILE_LIMITS__UNFINISHED_EVALUATIONS_PER_TENANT": MOST,
    "FACSIMILE_LIMITS__UNFINISHED_CALIBRATIONS_PER_TENANT": MOST,
    "FACSIMILE_LIMITS__UNFINISHED_CALIBRATIONS": MOST,
    "FACSIMILE_LIMITS__PREVIEWS_WAITING_PER_TENANT": MOST,
    "FACSIMILE_LIMITS__UPLOADS_PER_TENANT": MOST,
    "FACSIMILE_LIMITS__PREVIEW_WAIT_S": "0.05",
}
REQUEST = {"name": "fuzzed", "model": "sdgan", "subjects": 4, "samples_per_subject": 3, "image": {"size": 64}}
AT_ONCE = 40
"""Requests of one operation before the next has its turn."""


class Things:
    """What exists: made once, or anew for a request that will delete it."""

    def __init__(self, http: httpx.Client, rng: random.Random) -> None:
        self.http = http
        self.rng = rng
        self.made = 0
        self.scored = b""
        self.kept: dict[str, list[str]] = {}

    def make_all(self) -> None:
        """Make one of everything, by the worker."""
        dataset = self._id("/v1/datasets", REQUEST)
        called_off = self._id("/v1/datasets", REQUEST | {"subjects": 400})
        self.http.post(f"/v1/datasets/{called_off}/cancel").raise_for_status()
        self._finish(f"/v1/datasets/{dataset}")
        self._finish(f"/v1/datasets/{called_off}")
        release = self.http.put("/v1/releases/gate/1.0.0", json={"dataset": dataset}).raise_for_status().json()
        lines = self.http.get(f"/v1/datasets/{dataset}/comparisons").raise_for_status().text.splitlines()
        scored = "\n".join([lines[0] + ",score", *(f"{line},{self.rng.random():.4f}" for line in lines[1:]), ""])
        self.scored = scored.encode()
        evaluation = self._evaluation(dataset)
        self._finish(f"/v1/evaluations/{evaluation}")
        preview = self.http.post("/v1/previews", json={"model": "sdgan"})
        target = {"matcher": "sface", "fmr": 0.01, "fnmr": 0.1}
        self.kept = {
            "dataset_id": [dataset, called_off],
            "upload_id": [self.upload(self.scored)],
            "evaluation_id": [evaluation],
            "preview_id": [preview.headers["x-preview-id"]],
            "calibration_id": [self._id("/v1/calibrations", {"target": target, "model": "sdgan"})],
            "model": ["sdgan", "parametric"],
            "matcher": ["sface", "dlib"],
            "release": ["gate"],
            "version": ["1.0.0"],
            "digest": [release["digest"]],
            "sample": ["S0000001_0001", "S0000002_0001.png"],
            "sheet": ["0"],
        }

    def of(self, path: str, method: str) -> dict[str, str]:
        """Path parameters of something that exists; what is deleted, cancelled or released was made for that."""
        kinds = {"releases": "release", "samples": "sample", "matchers": "matcher", "models": "model"}
        name = next((kind for part, kind in kinds.items() if part in path), "model")
        found = {
            known: self.rng.choice(self.kept[name if known == "name" else known])
            for known in re.findall(r"{(\w+)}", path)
            if known != "key_id"
        }
        if method == "delete" or path.endswith("/cancel"):
            if "dataset_id" in found:
                found["dataset_id"] = self._id("/v1/datasets", REQUEST)
            if "evaluation_id" in found:
                found["evaluation_id"] = self._evaluation(self.kept["dataset_id"][0])
            if "upload_id" in found:
                found["upload_id"] = self.upload()
            if "version" in found:
                found["version"] = f"2.0.{self.made}"
                self.made += 1
                self.http.put(f"/v1/releases/gate/{found['version']}", json={"dataset": self.kept["dataset_id"][0]})
        if "{key_id}" in path:
            found["key_id"] = self.http.post("/v1/keys", json={"role": "read"}).json().get("id", "none")
        if path.startswith("/v1/uploads") and method == "put":
            self.made += 1
            found["upload_id"] = sha256(b"another %d" % self.made).hexdigest()
        return found

    def fill(self, path: str, body: Any) -> None:
        """Have a body that fits the document name what exists, too."""
        if not isinstance(body, dict):
            return
        if path == "/v1/evaluations":
            body["dataset"] = self.kept["dataset_id"][0]
            body.pop("release", None)
            self.upload(self.scored)
            for part in ("scores", "templates", "baseline"):
                if isinstance(body.get(part), dict) and "upload" in body[part]:
                    body[part]["upload"] = self.kept["upload_id"][0]
        elif path.startswith("/v1/releases"):
            body["dataset"] = self.kept["dataset_id"][0]
        elif "model" in body:
            body["model"] = self.rng.choice(["default", *self.kept["model"]])

    def upload(self, data: bytes = b"") -> str:
        """Send bytes that nobody sent before."""
        self.made += 1
        sent = data or b"%d" % self.made
        digest = sha256(sent).hexdigest()
        self.http.put(f"/v1/uploads/{digest}", content=sent).raise_for_status()
        return digest

    def _evaluation(self, dataset: str) -> str:
        """Ask for one; its upload goes with the last evaluation that needs it, and is sent anew."""
        return self._id("/v1/evaluations", {"dataset": dataset, "scores": {"upload": self.upload(self.scored)}})

    def _id(self, path: str, body: dict[str, Any]) -> str:
        return str(self.http.post(path, json=body).raise_for_status().json()["id"])

    def _finish(self, path: str) -> None:
        for _ in range(1_200):
            if self.http.get(path).raise_for_status().json()["state"] in ("succeeded", "failed", "cancelled"):
                return
            time.sleep(0.25)
        raise SystemExit(f"{path} does not end")


class Fuzzer:
    """What was sent, what came back, and what of it was wrong."""

    def __init__(self, stack: EmbeddedStack, things: Things, number: int) -> None:
        self.url = stack.url
        self.schema = schemathesis.openapi.from_url(f"{stack.url}/openapi.json")
        self.headers = {"Authorization": f"Bearer {stack.api_key}"}
        self.things = things
        self.number = number
        self.statuses: Counter[int] = Counter()
        self.named = 0
        self.faults: dict[str, str] = {}

    def drive(self, method: str, path: str, mode: GenerationMode, most: int) -> None:
        """Send up to so many requests to one operation."""
        self.number += 1

        @seed(self.number)
        @given(
            case=self.schema[path][method].as_strategy(
                generation_mode=mode,
                # The key is not to be what is wrong.
                headers=self.headers if mode is GenerationMode.NEGATIVE else None,
            )
        )
        @settings(max_examples=most, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def send(case: Any) -> None:
            self._send(case, method, path, mode)

        try:
            send()
        except Unsatisfiable:
            if mode is GenerationMode.POSITIVE:
                raise

    def _send(self, case: Any, method: str, path: str, mode: GenerationMode) -> None:
        if self.things.rng.random() < 0.75 and ("{" in path or method in ("post", "put")):
            self.named += 1
            if mode is GenerationMode.POSITIVE or method != "get":
                case.path_parameters.update(self.things.of(path, method))
            if mode is GenerationMode.POSITIVE:
                self.things.fill(path, case.body)
        try:
            answer = case.call(base_url=self.url, headers=self.headers, timeout=30)
        except (Exception, BaseExceptionGroup) as exc:  # noqa: BLE001 - whatever it is, it is what is looked for
            self._fault(f"{method} {path}: no answer, {type(exc).__name__}", case)
            return
        self.statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            self._fault(f"{method} {path}: {answer.status_code} {answer.text[:200]}", case)
            return
        try:
            # A body may fit the document and still be refused: what a model offers is not in the document. And one
            # that is too long is refused for that, whatever else is wrong with it, which the check does not know.
            excluded = [positive_data_acceptance] + [negative_data_rejection] * (answer.status_code == 413)
            case.validate_response(answer, headers=self.headers, excluded_checks=excluded)
        except (Exception, BaseExceptionGroup) as exc:  # noqa: BLE001 - as above
            self._fault(f"{method} {path}: {answer.status_code}, " + " ".join(str(exc).split())[:300], case)

    def _fault(self, what: str, case: Any) -> None:
        kind = re.sub(r"[0-9a-f]{16,}|ds_\w+", "…", what)
        if kind not in self.faults:
            self.faults[kind] = case.as_curl_command(headers=self.headers)[:4_000]
            print(f"FAULT {what}\n  {self.faults[kind][:1_000]}", flush=True)  # noqa: T201


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="operations whose path has this in it")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = EmbeddedStack(Path(folder) / "data", workers=1, env_overrides=SETTINGS)
        with stack:
            http = httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.api_key}"}, timeout=60)
            things = Things(http, random.Random(asked.seed))
            things.make_all()
            stack.stop_child("worker")
            fuzzer = Fuzzer(stack, things, asked.seed * 1_000_000)
            operations = [
                (method, path, mode)
                for path, found in http.get("/openapi.json").json()["paths"].items()
                for method in found
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
                if asked.only in path
            ]
            began = time.monotonic()
            while (sent := fuzzer.statuses.total()) < asked.count:
                for operation in operations:
                    fuzzer.drive(*operation, min(AT_ONCE, asked.count))
                took = time.monotonic() - began
                print(f"{fuzzer.statuses.total():,} of {asked.count:,}, {took:.0f} s", flush=True)  # noqa: T201
                if fuzzer.statuses.total() == sent:
                    raise SystemExit("nothing can be sent")
    found = {
        "cases": fuzzer.statuses.total(),
        "operations": len({operation[:2] for operation in operations}),
        "named_what_exists": fuzzer.named,
        "statuses": {str(status): count for status, count in sorted(fuzzer.statuses.items())},
        "faults": fuzzer.faults,
    }
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found | {"faults": len(fuzzer.faults)}, indent=1))  # noqa: T201
    return int(bool(fuzzer.faults))


if __name__ == "__main__":
    sys.exit(main())
