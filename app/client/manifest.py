"""Reading a manifest without holding it: its summary, and its samples one by one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.client.errors import VerificationFailed
from app.dataset.shard import SampleRow

OPENING = b' "samples": ['
"""The line after which `app.dataset.manifest.manifest_lines` puts one sample a line."""


class Manifest:
    """A manifest file."""

    def __init__(self, path: Path) -> None:
        """Read the summary; raises VerificationFailed if this is no manifest."""
        self.path = path
        head: list[bytes] = []
        try:
            with path.open("rb") as file:
                for line in file:
                    if line.rstrip() == OPENING.rstrip():
                        break
                    head.append(line)
                else:
                    raise _broken(path, "it has no list of samples")
            self.summary: dict[str, Any] = json.loads(b"".join(head).rstrip().removesuffix(b",") + b"}")
            self.dataset = str(self.summary["dataset"])
            self.digests: dict[str, str] = dict(self.summary["digests"])
        except FileNotFoundError as exc:
            raise VerificationFailed(f"{path} is not there", [path.name]) from exc
        except (ValueError, KeyError, TypeError) as exc:
            raise _broken(path, str(exc)) from exc

    def files(self) -> Iterator[SampleRow]:
        """Yield every file below samples/ in the archive's order: each sample's, and the C2PA manifest beside it.

        Of a manifest's row only file, bytes and file_sha256 are its own.
        """
        for row in self.samples():
            yield row
            if row.c2pa is not None:
                beside = row.c2pa
                yield row.model_copy(
                    update={"file": beside.file, "bytes": beside.bytes, "file_sha256": beside.sha256, "c2pa": None}
                )

    def samples(self) -> Iterator[SampleRow]:
        """Yield the samples in order."""
        with self.path.open("rb") as file:
            for line in file:
                if line.rstrip() == OPENING.rstrip():
                    break
            for line in file:
                text = line.strip().removesuffix(b",")
                if text == b"]":
                    return
                if text:
                    try:
                        yield SampleRow.model_validate_json(text)
                    except ValidationError as exc:
                        raise _broken(self.path, f"a sample's line cannot be read: {exc}") from exc
        raise _broken(self.path, "it breaks off")


def _broken(path: Path, why: str) -> VerificationFailed:
    return VerificationFailed(f"{path.name} is not a whole manifest: {why}", [path.name])
