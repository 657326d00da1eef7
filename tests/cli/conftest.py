"""A service in memory behind httpx.MockTransport: datasets, their archives, and faults to be set."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.client import connect, patience, watch
from app.client import service as service_module
from app.client.service import Client
from app.dataset.manifest import Summary, content_of, manifest_lines
from app.dataset.release import Release, ReleasedModel
from app.dataset.shard import SampleRow

Json = dict[str, Any]
KEY = "fcs_0123456789abcdef_" + "k" * 43


REPORT = {"report.json": b'{"schema_version": 1}', "report.html": b"<!doctype html>"}


def file_of(name: str) -> bytes:
    """What stands for an image: any bytes will do."""
    return f"an image called {name}".encode() * 50


def row(subject: int, sample: int) -> SampleRow:
    name = f"S{subject:07d}_{sample:04d}"
    content = file_of(name)
    return SampleRow(
        id=name,
        subject=name[:8],
        role="probe" if sample else "reference",
        file=f"samples/{name[:8]}/{name}.png",
        width=8,
        height=8,
        bytes=len(content),
        pixel_sha256=hashlib.sha256(b"pixels" + content).hexdigest(),
        file_sha256=hashlib.sha256(content).hexdigest(),
        identity_attempt=0,
        attempt=0,
        attributes={},
    )


class FakeService:
    """Answers as the API does, for one dataset at a time."""

    def __init__(self, subjects: int = 3, samples: int = 2) -> None:
        self.rows = [row(subject, sample) for subject in range(subjects) for sample in range(samples)]
        self.states = ["accepted", "running", "succeeded"]
        """What GET tells, one after the other; the last one stays."""
        self.keys: dict[str, Json] = {}
        """Idempotency-Key to request."""
        self.shortfall = 0
        self.calls: list[tuple[str, str]] = []
        self.ranges: list[str] = []
        self.break_after: list[int] = []
        """Bytes after which the next archive connections break."""
        self.fault: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
        self.events_work = True
        self.top = "ds_1/"
        """Top folder of archives; those of before have none."""
        self.break_events: int | None = None
        """After so many events the next stream breaks."""
        self.heard: list[str] = []
        """What streams were asked to go on after."""
        self.more_members: list[tuple[tarfile.TarInfo, bytes]] = []
        self.changed: dict[str, bytes] = {}
        """Files whose bytes in the archive and by name are others than the manifest says."""
        self.being_made = 0
        """How often a layout is not made yet when it is asked for."""
        self.final: dict[str, str] = {}
        """State that a dataset made under an Idempotency-Key has ended in."""
        self.card: Json = {}
        self.version = "1.2.0"
        """Of the one release, gate-smoke."""
        self.no_ranges = False
        self.listing: Callable[[], Json] | None = None
        """Lists the parts of the release's archive; older services know no such thing."""
        self.layouts: dict[str, bytes] = {}
        """Archives by layout."""

    comparisons = b"reference,probe,mated\nS0000000_0000,S0000000_0001,1\nS0000000_0000,S0000001_0001,0\n"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.calls.append((request.method, path))
        if answer := self.fault(request):
            return answer
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return error(401, "NotAuthenticated", "this API key is not known")
        if (request.method, path) == ("POST", "/v1/datasets"):
            key = request.headers["Idempotency-Key"]
            body = json.loads(request.content)
            if "bogus" in body:
                return error(422, "RequestRefused", "bogus: Extra inputs are not permitted")
            replayed = {"Idempotent-Replayed": "true"} if key in self.keys else {}
            self.keys.setdefault(key, body)
            return httpx.Response(202, json=self.dataset(self.final.get(key) or self.states[0]), headers=replayed)
        if path == "/v1/datasets":
            return httpx.Response(200, json={"datasets": [self.dataset(self.states[0])], "next": None})
        if path == "/v1/datasets/ds_1":
            if request.method == "DELETE":
                return httpx.Response(204)
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return httpx.Response(200, json=self.dataset(state))
        if path == "/v1/datasets/ds_1/events" and self.events_work:
            self.heard.append(request.headers.get("Last-Event-ID", ""))
            return self.events()
        if path == "/v1/datasets/ds_1/cancel":
            return httpx.Response(200, json=self.dataset("cancelled"))
        if path == "/v1/datasets/ds_1/archive":
            return self.archive(request)
        if path == "/v1/datasets/ds_1/comparisons":
            return httpx.Response(200, content=self.comparisons)
        if path in (f"/v1/releases/gate-smoke/{version}" for version in (self.version, "latest")):
            return httpx.Response(200, json={**self.release().model_dump(mode="json"), "links": {}})
        if path == f"/v1/releases/gate-smoke/{self.version}/parts" and self.listing:
            return httpx.Response(200, json=self.listing())
        if path == f"/v1/releases/gate-smoke/{self.version}/archive":
            return self.archive(request)
        if path == f"/v1/releases/gate-smoke/{self.version}/manifest":
            return httpx.Response(200, content=self.manifest())
        if path == "/v1/datasets/ds_1/report":
            return httpx.Response(200, content=REPORT[f"report.{request.url.params['format']}"])
        if path.startswith("/v1/datasets/ds_1/samples/"):
            name = path.rsplit("/", 1)[-1]
            return httpx.Response(200, content=self.changed.get(name, file_of(name)))
        return error(404, "NotFound", f"there is nothing at {path}")

    def dataset(self, state: str) -> Json:
        done = state in ("succeeded", "assembling")
        return {
            "id": "ds_1",
            "name": "faces",
            "state": state,
            "created_at": "2026-01-02T03:04:05.678+00:00",
            "model": {"name": "parametric", "version": "1"},
            "seed": 7,
            "request": {},
            "progress": {
                "identities_checked": 0,
                "samples_done": len(self.rows) if done else 0,
                "samples_total": len(self.rows),
                "fraction": 1.0 if done else 0.0,
            },
            "counts": self.counts() if state == "succeeded" else None,
            "failure": "a shard died five times" if state == "failed" else None,
            "digests": self.digests() if state == "succeeded" else None,
            "links": {},
        }

    def counts(self) -> dict[str, int]:
        return {
            "subjects": 3,
            "distractors": 0,
            "samples": len(self.rows),
            "rejected": 0,
            "shortfall": self.shortfall,
            "bytes": sum(item.bytes for item in self.rows),
        }

    def digests(self) -> dict[str, str]:
        return {
            kind: hashlib.sha256(
                "".join(f"{item.id} {getattr(item, field)}\n" for item in self.rows).encode()
            ).hexdigest()
            for kind, field in (("pixels", "pixel_sha256"), ("files", "file_sha256"))
        }

    def events(self) -> httpx.Response:
        text = ": hello\n\n"
        whole = self.break_events is None
        for state in self.states[:-1] if whole else self.states[: self.break_events]:
            text += f"event: progress\nid: told-{state}\ndata: {json.dumps(self.dataset(state))}\n\n"
        if not whole:
            self.states, self.break_events = self.states[self.break_events :], None
            return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})
        self.states = self.states[-1:]
        text += f"event: end\ndata: {json.dumps(self.dataset(self.states[0]))}\n\n"
        return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})

    def summary(self) -> Summary:
        return Summary.model_validate(
            {
                "dataset": "ds_1",
                "counts": self.counts(),
                "digests": self.digests(),
                "request": {"subjects": 3},
                "model": {"name": "parametric", "version": "1.0.0", "digest": "d" * 64},
                "sigma": {"pose": 1.0},
                "seed": 7,
                "comparisons": {
                    "selection": "balanced",
                    "mated": 3,
                    "non_mated": 3,
                    "left_out": 0,
                    "sha256": hashlib.sha256(self.comparisons).hexdigest(),
                },
                "products": {name: hashlib.sha256(content).hexdigest() for name, content in REPORT.items()},
                "name": "gate 7",
                "created_at": "2026-01-01T00:00:00.000+00:00",
                "asked": {"subjects": 3, "samples": len(self.rows), "distractors": 0},
                "checks": {"face_found": False, "unique": None},
                "shortfall": [],
                "shard_reports": {"count": 1, "sha256": "r" * 64},
                "device": "cpu",
                "synthetic": {"digital_source_type": "http://example/synthetic", "marked": "in every file"},
            }
        )

    def manifest(self) -> bytes:
        return b"".join(manifest_lines(self.summary(), self.rows))

    def release(self) -> Release:
        content = content_of(self.summary(), self.rows)
        return Release(
            name="gate-smoke",
            version=self.version,
            digest=content.digest,
            samples_digest=content.samples,
            pixels_digest=content.pixels,
            manifest_sha256=hashlib.sha256(self.manifest()).hexdigest(),
            comparisons_sha256=hashlib.sha256(self.comparisons).hexdigest(),
            dataset="ds_1",
            dataset_name="faces",
            notes="",
            created_at="2026-01-02T03:04:05+00:00",
            created_by="k1",
            seed=7,
            sigma={"pose": 1.0},
            model=ReleasedModel(name="parametric", version="1.0.0", digest="d" * 64),
            counts=self.counts(),
        )

    def tar(self) -> bytes:
        return self.archive_of({})

    def release_tar(self) -> bytes:
        return self.archive_of({"release.json": self.release().model_dump_json().encode()})

    def archive_of(self, first: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in (
                *first.items(),
                ("manifest.json", self.manifest()),
                ("comparisons.csv", self.comparisons),
                ("contact-sheet.png", b"a sheet"),
                *REPORT.items(),
                *((info, content) for info, content in self.more_members),
                *((item.file, self.changed.get(item.id, file_of(item.id))) for item in self.rows),
            ):
                info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(self.top + name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return out.getvalue()

    def archive(self, request: httpx.Request) -> httpx.Response:
        layout = request.url.params.get("layout", "plain")
        if layout != "plain" and self.being_made:
            self.being_made -= 1
            return httpx.Response(202, json={"state": "being_made"}, headers={"Retry-After": "2"})
        whole = self.release_tar() if request.url.path.startswith("/v1/releases/") else self.tar()
        if layout != "plain":
            whole = self.layouts.get(layout, f"the set as {layout}; ".encode() * 1000)
        etag = f'"{hashlib.sha256(whole).hexdigest()}"'
        asked = request.headers.get("Range", "")
        if asked == "bytes=0-0":  # to see whether it is there
            return httpx.Response(206, content=whole[:1], headers={"ETag": etag})
        self.ranges.append(asked)
        if self.no_ranges or request.headers.get("If-Range", etag) != etag:
            asked = ""
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, stop = int(first or 0), int(last) + 1 if last else len(whole)
        body = whole[start:stop]
        headers = {"ETag": etag, "Content-Length": str(len(body)), "Content-Type": "application/x-tar"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(whole)}"
        stream = Breaking(body, self.break_after.pop(0) if self.break_after else None)
        return httpx.Response(206 if asked else 200, stream=stream, headers=headers)


class Breaking(httpx.SyncByteStream):
    """A body that breaks off after so many bytes."""

    def __init__(self, body: bytes, after: int | None) -> None:
        self.body = body
        self.after = after

    def __iter__(self) -> Iterator[bytes]:
        yield self.body[: self.after]
        if self.after is not None:
            raise httpx.ReadError("the connection broke")


def error(status: int, name: str, detail: str, **headers: str) -> httpx.Response:
    return httpx.Response(
        status,
        json={"error": name, "detail": detail, "request_id": "r1"},
        headers={header.replace("_", "-"): value for header, value in headers.items()},
    )


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, clock: Time, tmp_path_factory: pytest.TempPathFactory) -> FakeService:
    """The fake behind every command of this test, named by the environment; waiting takes no time."""
    fake = FakeService()
    monkeypatch.setattr(connect, "TRANSPORT", httpx.MockTransport(fake))
    for module in (service_module.Client.__init__, watch.watch):
        defaults = {**(module.__kwdefaults__ or {}), "sleep": clock.sleep, "clock": clock.monotonic}
        monkeypatch.setattr(module, "__kwdefaults__", defaults)
    monkeypatch.setattr(patience.Patience.__init__, "__kwdefaults__", {"sleep": clock.sleep, "clock": clock.monotonic})
    monkeypatch.setenv("FACSIMILE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("FACSIMILE_URL", "http://service.test")
    monkeypatch.setenv("FACSIMILE_API_KEY", KEY)
    return fake


@pytest.fixture
def client(service: FakeService, clock: Time) -> Client:
    return Client("http://service.test", KEY, transport=httpx.MockTransport(service))


@pytest.fixture
def refuse() -> Callable[..., httpx.Response]:
    """Makes an error answer as the API does."""
    return error
