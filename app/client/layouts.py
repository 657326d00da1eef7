"""Fetching a release in another layout: its archive is asked for, waited for, fetched and unpacked.

facsimile-layout.json, written last, lists every file with its digest; a folder that has one is whole, and `verify`
holds the folder against it. The archive may take the service a while: it is made when it is first asked for.
"""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from app.client.archives import fetch_archive
from app.client.cache import digest_of, make_durable, told
from app.client.errors import UsageProblem, VerificationFailed
from app.client.fetch import ASIDE
from app.client.service import Client
from app.client.unpack import unpack
from app.dataset.layout import Layout
from app.dataset.version import ReleaseRef

Json = dict[str, Any]
OnBytes = Callable[[str, int, int], None]

RECORD = "facsimile-layout.json"


class LayoutFetch:
    """One release in one layout on its way into one folder."""

    def __init__(
        self,
        client: Callable[[], Client],
        ref: ReleaseRef,
        digest: str,
        layout: Layout,
        folder: Path,
        *,
        on_bytes: OnBytes,
    ) -> None:
        """`digest` is that of the release's content; `on_bytes` is told (what, so far, in all).

        `client` is called only if something is missing.
        """
        self._client = client
        self._ref = ref
        self._digest = digest
        self._layout = layout
        self._folder = folder
        self._on_bytes = on_bytes
        self._aside = folder / ASIDE
        self._archive = self._aside / "archive"

    def run(self) -> Json:
        """Fetch and unpack it, unless the folder holds it; returns what is there, for machines."""
        with told(self._folder):
            record = read_layout(self._folder)
            if record is None:
                record = self._fetch()
            elif (record["digest"], record["layout"]) != (self._digest, self._layout.value):
                raise UsageProblem(
                    f"{self._folder} holds {record['release']} in layout {record['layout']!r} already; "
                    "choose another folder with --out, or remove it"
                )
            elif wrong := wrong_files(self._folder, record):
                raise VerificationFailed(
                    f"{len(wrong)} files of {self._folder} are not what they were: {wrong[0][0]}: {wrong[0][1]}; "
                    "remove the folder and pull again",
                    [name for name, _ in wrong],
                )
        return {
            "release": record["release"],
            "digest": record["digest"],
            "verified": {"files": len(record["files"])},
        }

    def _fetch(self) -> Json:
        if self._folder.exists() and any(path.name != ASIDE for path in self._folder.iterdir()):
            raise UsageProblem(f"{self._folder} holds other files; a layout needs an empty folder (--out)")
        note, mine = self._aside / "digest", f"{self._digest} {self._layout.value}"
        if not note.exists() or note.read_text() != mine:  # what is there is of another pull
            shutil.rmtree(self._aside, ignore_errors=True)
        self._aside.mkdir(parents=True, exist_ok=True)
        note.write_text(mine)
        if not self._archive.exists():
            client = self._client()
            archive = client.release_archive(*self._ref, self._layout.value)
            fetch_archive(client, archive, self._archive, partial(self._on_bytes, f"pulling {self._ref}"))
        return self._unpack()

    def _unpack(self) -> Json:
        files = self._aside / "files"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        total, done = self._archive.stat().st_size, 0

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            self._on_bytes("unpacking", min(done, total), total)

        try:
            unpacked = list(unpack(self._archive, files, on_bytes))
        except VerificationFailed:
            self._archive.unlink()  # the next try fetches it anew
            raise
        record = {
            "release": str(self._ref),
            "digest": self._digest,
            "layout": self._layout.value,
            "files": {name: [size, sha256] for name, size, sha256 in unpacked},
        }
        written = files / RECORD
        written.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        make_durable([files / name for name in record["files"]] + [written])
        for path in sorted(files.iterdir(), key=lambda path: path.name == RECORD):
            path.rename(self._folder / path.name)
        shutil.rmtree(self._aside)
        return record


def read_layout(folder: Path) -> Json | None:
    """What facsimile-layout.json of a folder says; None if there is none. Raises VerificationFailed."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = {str(name): (int(size), str(sha256)) for name, (size, sha256) in found["files"].items()}
        return {**{key: str(found[key]) for key in ("release", "digest", "layout")}, "files": files}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise VerificationFailed(f"{RECORD} cannot be read: {exc}", [RECORD]) from exc


def wrong_files(
    folder: Path, record: Json, on_progress: Callable[[int], None] = lambda done: None
) -> list[tuple[str, str]]:
    """Files of a layout's folder that are not as its record lists them, and files that it does not list."""
    wrong = []
    for number, (name, (size, sha256)) in enumerate(record["files"].items(), 1):
        path = folder / name
        if not path.is_file() or path.is_symlink():
            wrong.append((name, "it is missing"))
        elif path.stat().st_size != size:
            wrong.append((name, f"it has {path.stat().st_size} bytes instead of {size}"))
        elif digest_of(path) != sha256:
            wrong.append((name, "its bytes have another digest"))
        on_progress(number)
    listed = set(record["files"]) | {RECORD}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in listed and not any(part.startswith(".") for part in Path(name).parts):
            wrong.append((name, f"{RECORD} does not list it"))
    return wrong
