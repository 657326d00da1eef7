"""facsimile.lock: which releases a project depends on, and the digest of each. TOML, to be committed."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.client.errors import LockMismatch, UsageProblem
from app.client.files import write_whole
from app.dataset.content import SHA256
from app.dataset.layout import Layout
from app.dataset.release import Release
from app.dataset.version import RELEASE_NAME, VERSION, ReleaseRef

LOCK = Path("facsimile.lock")

HEADING = """\
# Datasets that this project depends on, to be fetched by 'facsimile pull'.
# Written by 'facsimile lock NAME@VERSION'; commit it, and do not edit it by hand.
version = 1
"""

Digest = Annotated[str, Field(pattern=SHA256)]


class Locked(BaseModel):
    """One release that is depended on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=RELEASE_NAME)]
    version: Annotated[str, Field(pattern=VERSION)]
    digest: Digest
    """Of the content, by `app.dataset.content`."""
    pixels: Digest
    """Root over the samples' pixels alone."""
    layout: Layout = Layout.PLAIN
    """In which layout `pull` fetches it."""

    @property
    def ref(self) -> ReleaseRef:
        """Its name and version."""
        return ReleaseRef(self.name, self.version)

    @classmethod
    def of(cls, release: Release, layout: Layout) -> "Locked":
        """What the lock holds of a release."""
        return cls(
            name=release.name,
            version=release.version,
            digest=release.digest,
            pixels=release.pixels_digest,
            layout=layout,
        )

    def demand(self, digest: str, where: str) -> None:
        """Raise LockMismatch unless this is the digest."""
        if digest != self.digest:
            raise LockMismatch(
                f"{where} has another {self.ref} than is locked: facsimile.lock holds digest {self.digest[:16]}… and "
                f"there it is {digest[:16]}…. A release never changes, so this is another store or a changed copy; "
                f"only if that is meant, lock it anew: facsimile lock {self.ref}"
            )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int
    release: tuple[Locked, ...] = ()


class LockFile:
    """A lock file, which need not be there yet."""

    def __init__(self, path: Path = LOCK) -> None:
        """Read it; raises UsageProblem for one that cannot be read."""
        self.path = path
        self._held: dict[ReleaseRef, Locked] = {}
        try:
            found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return
        except ValidationError as exc:
            first = exc.errors()[0]
            at = ".".join(map(str, first["loc"]))
            raise UsageProblem(f"{path} is no lock file: {at}: {first['msg']}; write it with 'facsimile lock'") from exc
        except (OSError, ValueError) as exc:
            raise UsageProblem(f"{path} cannot be read: {exc}; write it with 'facsimile lock NAME@VERSION'") from exc
        if found.version != 1:
            raise UsageProblem(f"{path} is of version {found.version}, which is newer than this program; update it")
        for item in found.release:
            if item.ref in self._held:
                raise UsageProblem(f"{path} holds {item.ref} twice; take one of them out")
            self._held[item.ref] = item

    def __iter__(self) -> Iterator[Locked]:
        """Every entry, by name and version."""
        return iter(sorted(self._held.values(), key=lambda item: item.ref))

    def get(self, ref: ReleaseRef) -> Locked | None:
        """The entry of a release; None if it is not locked."""
        return self._held.get(ref)

    def demand(self, ref: ReleaseRef) -> Locked:
        """The entry of a release; raises LockMismatch if it is not locked."""
        found = self._held.get(ref)
        if found is None:
            others = ", ".join(str(item.ref) for item in self) or "nothing"
            raise LockMismatch(f"{self.path} does not hold {ref} (it holds {others}); lock it: facsimile lock {ref}")
        return found

    def put(self, item: Locked) -> None:
        """Take an entry in, in place of that of the same name and version."""
        self._held[item.ref] = item

    def drop(self, ref: ReleaseRef) -> None:
        """Take an entry out; raises LockMismatch if it is not there."""
        self.demand(ref)
        del self._held[ref]

    def write(self) -> None:
        """Write it, whole or not at all."""
        parts = [HEADING]
        for item in self:
            lines = [f'{key} = "{value}"' for key, value in item.model_dump(mode="json").items()]
            parts.append("\n[[release]]\n" + "\n".join(lines) + "\n")
        write_whole(self.path, "".join(parts).encode())
