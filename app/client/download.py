"""Downloading a dataset into a folder: one stream, no archive on the disk, and going on where it broke off.

The manifest gets its name last, so a folder with a manifest.json is a whole dataset. Until then, the folder
`.facsimile` within it holds the manifest and how far the archive has been read.
"""

import io
import json
import shutil
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from app.client.errors import ServiceUnreachable, UsageProblem, VerificationFailed
from app.client.manifest import Manifest
from app.client.paths import inside, make_parents
from app.client.service import Client
from app.dataset.shard import SampleRow

PRODUCTS = {
    "comparisons.csv": "comparisons",
    "contact-sheet.png": "contact-sheet",
    "report.json": "report?format=json",
    "report.html": "report?format=html",
    "data-card.md": "data-card",
    "provenance.jsonld": "provenance",
    "croissant.json": "croissant",
}
"""Files beside the samples, and the last part of their paths in the API."""

CHUNK = 256 * 1024
STATE_EVERY_BYTES = 32 * 1024 * 1024
GIVE_UP_AFTER_S = 90.0
"""A download that gets no byte for this long ends; repeating the command goes on with it."""


class Download:
    """A dataset on its way into a folder."""

    def __init__(self, client: Client, dataset: str, folder: Path) -> None:
        """Look at the folder; raises UsageProblem if it holds something else."""
        self._client = client
        self._dataset = dataset
        self.folder = folder
        self.manifest_path = folder / "manifest.json"
        self._aside = folder / ".facsimile"
        self._state = self._aside / "state.json"
        self._made: set[Path] = set()
        held = _dataset_held(folder)
        if held not in (None, dataset):
            raise UsageProblem(f"{folder} holds dataset {held} already; choose another folder with --out")
        if held is None and (folder / "samples").exists():
            raise UsageProblem(f"{folder} holds a folder 'samples' of another origin; choose another with --out")

    @property
    def complete(self) -> bool:
        """Whether everything was unpacked before."""
        return self.manifest_path.exists()

    def manifest(self) -> Manifest:
        """The manifest, once it is there."""
        return Manifest(self.manifest_path if self.complete else self._aside / "manifest.json")

    def run(self, on_bytes: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Download and unpack what is not there; `on_bytes` is told (bytes so far, bytes in all)."""
        self._aside.mkdir(parents=True, exist_ok=True)
        state = _read_state(self._state)
        stream = ArchiveStream(
            self._client,
            self._client.archive(self._dataset),
            start=int(state.get("offset", 0)) if (self._aside / "manifest.json").exists() else 0,
            etag=state.get("etag"),
            on_bytes=on_bytes,
        )
        with stream:
            base = stream.start  # 0 if the archive is another than last time
            offset = noted = base
            self._note(stream.etag, offset)
            try:
                for offset in self._unpack(stream, base):
                    if offset - noted > STATE_EVERY_BYTES:
                        self._note(stream.etag, offset)
                        noted = offset
            finally:
                self._note(stream.etag, offset)

    def repair(self, rows: Iterable[SampleRow], products: Iterable[str] = ()) -> None:
        """Fetch single samples anew, and products (by file name, as in PRODUCTS)."""
        for row in rows:
            path = inside(self.folder, row.file)
            make_parents(self.folder, path, self._made)
            _write(path, io.BytesIO(self._client.sample(self._dataset, row.id)))
            if row.c2pa is not None:
                beside = io.BytesIO(self._client.product(self._dataset, f"samples/{row.id}/c2pa"))
                _write(inside(self.folder, row.c2pa.file), beside)
        for name in products:
            _write(self.folder / name, io.BytesIO(self._client.product(self._dataset, PRODUCTS[name])))

    def finish(self) -> None:
        """Give the manifest its name: the dataset is whole."""
        staged = self._aside / "manifest.json"
        if staged.exists():
            staged.replace(self.manifest_path)
        shutil.rmtree(self._aside, ignore_errors=True)

    def _note(self, etag: str | None, offset: int) -> None:
        text = json.dumps({"dataset": self._dataset, "etag": etag, "offset": offset})
        beside = self._state.with_suffix(".part")
        with suppress(OSError):  # on the way out of another error
            beside.write_text(text)
            beside.replace(self._state)

    def _unpack(self, stream: "ArchiveStream", base: int) -> Iterator[int]:
        """Write the members one by one, yielding the offset in the archive after each."""
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:
                for member in tar:
                    if member.isdir():
                        continue
                    if not member.isreg():
                        raise VerificationFailed(
                            f"the archive holds {member.name!r}, which is no plain file; nothing of that kind "
                            "is unpacked",
                            [member.name],
                        )
                    path = inside(self.folder, member.name)
                    if path == self.manifest_path:
                        path = self._aside / "manifest.json"
                    make_parents(self.folder, path, self._made)
                    content = tar.extractfile(member)
                    if content is None:
                        raise VerificationFailed(f"{member.name!r} cannot be read", [member.name])
                    _write(path, content)
                    tar.members.clear()  # type: ignore[attr-defined]  # it would remember every member
                    yield base + member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        except tarfile.TarError as exc:
            raise VerificationFailed(f"the archive is damaged: {exc}; repeat the command", []) from exc


class ArchiveStream(io.RawIOBase):
    """The bytes of an archive from some offset on; a broken connection is made again where it broke."""

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        start: int,
        etag: str | None,
        on_bytes: Callable[[int, int], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._client = client
        self._path = path
        self.start = start if etag else 0
        self.etag = etag
        self._on_bytes = on_bytes
        self._sleep = sleep
        self._clock = clock
        self._position = self.start
        self._size: int | None = None
        self._open = ExitStack()
        self._chunks: Iterator[bytes] = iter(())
        self._rest = b""
        self._connected = False
        self._connect_patiently()

    def readable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """End the connection."""
        self._open.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; empty only at the archive's end."""
        while not self._rest:
            if self._position == self._size:
                return b""
            self._rest = self._next_chunk()
        taken, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return taken

    def _next_chunk(self) -> bytes:
        try:
            chunk = next(self._chunks, b"")
        except ServiceUnreachable:
            chunk = b""
        if not chunk:
            self._connect_patiently()
            return b""
        self._position += len(chunk)
        self._on_bytes(self._position, self._size or 0)
        return chunk

    def _connect_patiently(self) -> None:
        deadline = self._clock() + GIVE_UP_AFTER_S
        pause_s = 0.0 if not self._connected else 0.2
        while True:
            self._sleep(pause_s)
            try:
                self._connect()
            except ServiceUnreachable as exc:
                if self._clock() > deadline:
                    raise ServiceUnreachable(
                        f"the download broke off ({exc}); repeat the command to go on where it stopped"
                    ) from exc
                pause_s = min(max(pause_s * 2, 0.25), 5.0)
            else:
                self._connected = True
                return

    def _connect(self) -> None:
        self._open.close()
        headers = {"Accept-Encoding": "identity"}
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
            if self.etag:
                headers["If-Range"] = self.etag
        answer = self._open.enter_context(self._client.stream("GET", self._path, headers=headers))
        etag = answer.headers.get("ETag")
        if answer.status_code == 206:
            first, _, size = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
            if etag != self.etag or not first.startswith(f"{self._position}-") or not size.isdigit():
                raise VerificationFailed("the service sent another part of the archive than was asked for", [])
            self._size = int(size)
        else:
            if self._connected and self._position:
                raise VerificationFailed("the archive has changed during the download; repeat the command", [])
            self.start = self._position = 0
            length = answer.headers.get("Content-Length", "")
            if not length.isdigit():
                raise ServiceUnreachable("the service does not say how long the archive is")
            self._size = int(length)
            self.etag = etag
        self._chunks = self._guarded(answer.iter_raw())  # as they come: what was gathered would be lost in a break

    def _guarded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks; a break of the connection becomes our error."""
        with self._client.translated():
            yield from chunks


def _write(path: Path, content: Any) -> None:
    """Write a file that has its name only when it is whole."""
    beside = path.with_name(f".{path.name}.part")
    if beside.is_symlink() or path.is_symlink():
        raise VerificationFailed(f"{path} is a link; nothing is written through it", [str(path)])
    try:
        with beside.open("wb") as file:
            shutil.copyfileobj(content, file, CHUNK)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _dataset_held(folder: Path) -> str | None:
    """Which dataset a folder holds, whole or in part."""
    if (folder / "manifest.json").exists():
        return Manifest(folder / "manifest.json").dataset
    held = _read_state(folder / ".facsimile" / "state.json").get("dataset")
    return str(held) if held else None


def _read_state(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
