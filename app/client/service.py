"""The service as an object: one method for each thing that can be asked of it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from app.client.errors import ServiceRefused, ServiceUnreachable, UsageProblem
from app.client.http import LONGEST_PAUSE_S, Http, Json, retry_after

SILENCE_S = 45.0
"""An event stream silent for longer counts as broken."""


class ServerEvent(NamedTuple):
    """One server-sent event."""

    name: str
    data: str
    id: str
    """Send it to `events` to go on after this one; empty where a service gives none."""


class Client(Http):
    """Calls one service with one API key. Raises ServiceUnreachable, ServiceRefused."""

    def submit(self, request: Json, idempotency_key: str) -> tuple[Json, bool]:
        """Ask for a dataset, and hear whether it is new; repeated with the same key it is the same dataset."""
        answer = self.call("POST", "/v1/datasets", json=request, headers={"Idempotency-Key": idempotency_key})
        return self.json_of(answer), answer.headers.get("Idempotent-Replayed") != "true"

    def dataset(self, dataset: str) -> Json:
        """One dataset."""
        return self.json("GET", f"/v1/datasets/{_segment(dataset)}")

    def dataset_id(self, named: str) -> str:
        """The id of a dataset that is named by its id or, where one alone has it, by its name; raises UsageProblem."""
        if named.startswith("ds_"):
            return named
        found = [item["id"] for item in self.datasets(state=None, name=named, limit=1000) if item["name"] == named]
        if not found:
            if "@" in named:
                raise UsageProblem(
                    f"{named!r} names a release; give a dataset: 'facsimile release list' says of which it is"
                )
            raise UsageProblem(f"there is no dataset of the id or name {named!r}; 'facsimile status' lists them")
        if len(found) > 1:
            shown = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
            raise UsageProblem(f"{len(found)} datasets are called {named!r}: {shown}; name one by its id")
        return str(found[0])

    def datasets(self, *, state: str | None, name: str | None, limit: int) -> Iterator[Json]:
        """Up to `limit` datasets, newest first."""
        params: dict[str, str] = {key: value for key, value in (("state", state), ("name", name)) if value is not None}
        while limit > 0:
            page = self.json("GET", "/v1/datasets", params={**params, "limit": str(min(limit, 100))})
            yield from page["datasets"][:limit]
            limit -= len(page["datasets"])
            if not page.get("next"):
                return
            params["after"] = page["next"]

    def cancel(self, dataset: str) -> Json:
        """Stop a dataset."""
        return self.json("POST", f"/v1/datasets/{_segment(dataset)}/cancel")

    def delete(self, dataset: str) -> None:
        """Remove a dataset and every object of it."""
        self.call("DELETE", f"/v1/datasets/{_segment(dataset)}")

    def create_release(self, name: str, version: str, dataset: str, notes: str) -> tuple[Json, bool]:
        """Make a dataset a release; returns the record, and whether it is new."""
        body = {"dataset": dataset, **({"notes": notes} if notes else {})}
        answer = self.call("PUT", f"/v1/releases/{_segment(name)}/{_segment(version)}", json=body)
        return self.json_of(answer), answer.status_code == 201

    def release_names(self) -> Iterator[Json]:
        """Every name with its versions."""
        params = {"limit": "100"}
        while True:
            page = self.json("GET", "/v1/releases", params=params)
            yield from page["releases"]
            if not page.get("next"):
                return
            params["after"] = page["next"]

    def release_versions(self, name: str) -> Json:
        """All releases of a name, and those withdrawn."""
        return self.json("GET", f"/v1/releases/{_segment(name)}")

    def withdraw_release(self, name: str, version: str, reason: str) -> Json:
        """Take a release back for good."""
        body = {"reason": reason, "confirm": f"{name}@{version}"}
        return self.json("DELETE", f"/v1/releases/{_segment(name)}/{_segment(version)}", json=body)

    def models(self) -> Json:
        """The models on offer, and which one is the default."""
        return self.json("GET", "/v1/models")

    def model(self, name: str) -> Json:
        """One model's card."""
        return self.json("GET", f"/v1/models/{_segment(name)}")

    def matchers(self) -> Json:
        """The matchers on offer."""
        return self.json("GET", "/v1/matchers")

    def calibrate(self, request: Json) -> Json:
        """Ask for a calibration; asked again, it tells how far it is."""
        return self.json("POST", "/v1/calibrations", json=request)

    def calibration(self, calibration: str) -> Json:
        """One calibration."""
        return self.json("GET", f"/v1/calibrations/{_segment(calibration)}")

    def cancel_calibration(self, calibration: str) -> Json:
        """Take a calibration back."""
        return self.json("POST", f"/v1/calibrations/{_segment(calibration)}/cancel")

    def preview(self, request: Json, timeout_s: float = 120.0) -> bytes:
        """A contact sheet as PNG; waits until it is made."""
        deadline = self._clock() + timeout_s
        answer = self.call("POST", "/v1/previews", json=request)
        # Its path alone: the key is not to be sent to another host.
        location = urlsplit(answer.headers.get("Location", "")).path
        while answer.headers.get("Content-Type", "").partition(";")[0] != "image/png":
            if self._clock() > deadline:
                raise ServiceUnreachable(f"the preview is not made after {timeout_s:g} s; is a worker running?")
            self._sleep(min(retry_after(answer) or 1.0, LONGEST_PAUSE_S))
            try:
                answer = self.call("GET", location) if location else answer
            except ServiceRefused as exc:
                if exc.status != 404:
                    raise
                # Not made yet; to ask again is to wait for it, and puts it on its way if it was lost.
                answer = self.call("POST", "/v1/previews", json=request)
        return answer.content

    def events(self, dataset: str, heard: str = "") -> Iterator[ServerEvent]:
        """The event stream of a dataset until it ends or breaks; breaking raises ServiceUnreachable.

        `heard` is the id of the last event of a stream before; what that told is not told again.
        """
        path = f"/v1/datasets/{_segment(dataset)}/events"
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": heard} if heard else {})}
        with self.stream("GET", path, headers=headers, read_s=SILENCE_S) as answer:
            if answer.status_code == 204:
                return
            if answer.headers.get("Content-Type", "").partition(";")[0] != "text/event-stream":
                raise ServiceUnreachable("the service sends no event stream")
            name, told = "message", ""
            data: list[str] = []
            for line in answer.iter_lines():
                if not line:
                    if data:
                        yield ServerEvent(name, "\n".join(data), told)
                    name, data = "message", []
                elif not line.startswith(":"):
                    field, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    if field == "event":
                        name = value
                    elif field == "id":
                        told = value
                    elif field == "data":
                        data.append(value)

    def archive(self, dataset: str, layout: str = "plain") -> str:
        """Path of a dataset's archive, for `stream`."""
        return f"/v1/datasets/{_segment(dataset)}/archive?layout={_segment(layout)}"

    def await_archive(self, archive: str) -> None:
        """Wait until an archive, by its path, is made, however long it takes; raises ServiceRefused if it cannot be."""
        first = {"Range": "bytes=0-0"}
        while (answer := self.call("GET", archive, headers=first)).status_code == 202:
            self._sleep(min(retry_after(answer) or 1.0, LONGEST_PAUSE_S))

    def product(self, dataset: str, name: str) -> bytes:
        """A product by the last part of its path: comparisons, contact-sheet, report?format=html."""
        return self.call("GET", f"/v1/datasets/{_segment(dataset)}/{name}").content

    def sample(self, dataset: str, name: str) -> bytes:
        """One sample's file."""
        return self.call("GET", f"/v1/datasets/{_segment(dataset)}/samples/{_segment(name)}").content

    def upload(self, digest: str, chunks: Callable[[], Iterator[bytes]]) -> Json:
        """Send a file by the SHA-256 of its bytes, unless it is there; `chunks` is called anew for every try."""
        path = f"/v1/uploads/{_segment(digest)}"
        try:
            return self.json("GET", path)
        except ServiceRefused as exc:
            if exc.status != 404:
                raise
        patient = httpx.Timeout(30.0, connect=5.0, write=120.0, read=600.0)
        return self.json("PUT", path, content=chunks, timeout=patient)

    def evaluate(self, request: Json, idempotency_key: str) -> Json:
        """Ask for an evaluation; repeated with the same key it is the same evaluation."""
        return self.json("POST", "/v1/evaluations", json=request, headers={"Idempotency-Key": idempotency_key})

    def evaluation(self, evaluation: str) -> Json:
        """One evaluation."""
        return self.json("GET", f"/v1/evaluations/{_segment(evaluation)}")

    def release(self, name: str, version: str) -> Json:
        """A release's record; the version may be `latest`."""
        return self.json("GET", f"/v1/releases/{_segment(name)}/{_segment(version)}")

    def release_archive(self, name: str, version: str, layout: str = "plain") -> str:
        """Path of a release's archive, for `stream`."""
        return f"/v1/releases/{_segment(name)}/{_segment(version)}/archive?layout={_segment(layout)}"

    def release_part(self, name: str, version: str, part: str) -> str:
        """Path of a release's product by its last part (manifest, report), for `stream`."""
        return f"/v1/releases/{_segment(name)}/{_segment(version)}/{part}"

    def release_parts(self, name: str, version: str) -> Json:
        """A release's plain archive as presigned URLs: secrets, none of which may be sent the key."""
        return self.json("GET", self.release_part(name, version, "parts"))

    def release_diff(self, name: str, version: str, to: str) -> Json:
        """What changed from one release to another, which is named NAME@VERSION."""
        return self.json("GET", f"/v1/releases/{_segment(name)}/{_segment(version)}/diff", params={"to": to})


def _segment(value: str) -> str:
    if not value or any(letter in value for letter in "/?#%\\") or value in (".", ".."):
        raise UsageProblem(f"{value!r} is no name or id")
    return value
