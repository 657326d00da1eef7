"""`facsimile verify`: a folder held against its manifest, its release's record and the lock; needs no service."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.bars import Bars
from app.cli.options import JsonOption
from app.cli.output import as_json, say
from app.client.errors import LockMismatch, UsageProblem, VerificationFailed
from app.client.layouts import read_layout, wrong_files
from app.client.lockfile import LOCK, LockFile
from app.client.manifest import Manifest
from app.client.marks import look_for_marks
from app.client.paths import set_folder
from app.client.verifiers import pixel_digest
from app.client.verify import Verified
from app.client.verify import verify as verify_folder
from app.dataset.version import parse_ref


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of a downloaded dataset or release.")],
    lock: Annotated[
        Path | None, typer.Option("--lock", help=f"The lock file; left out: {LOCK}, if it is there.")
    ] = None,
    c2pa: Annotated[bool, typer.Option("--c2pa", help="Check every sample's C2PA manifest, too.")] = False,
    trust: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file: who C2PA may be signed by.")
    ] = None,
    watermark: Annotated[
        bool, typer.Option("--watermark", help="Look for the watermark of FACSIMILE_WORKER__WATERMARK_KEY, too.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Read every file of a folder and hold it against its manifest; needs no service.

    Checks the digests of all files and (where an image reader is installed) pixels, that nothing is missing or more
    than is listed, and the digest of the whole against release.json and the lock file. Names what is wrong.
    """
    if not folder.is_dir():
        raise UsageProblem(f"{folder} is no folder")
    if (record := read_layout(folder)) is not None:
        if c2pa or trust or watermark:
            raise UsageProblem(f"{folder} holds a layout; marks are looked for in the plain files: pull those")
        with Bars() as bars:
            files = len(record["files"])
            wrong = wrong_files(folder, record, lambda done: bars.amount("verifying", done, files))
            found = Verified(files=files, wrong=wrong)
        found.files -= sum(name in record["files"] for name, _ in found.wrong)
        if json_:
            as_json({"release": record["release"], "layout": record["layout"], **_of(found, record["digest"])})
        found.demand()
        _hold_against_lock(lock, record["release"], record["digest"], folder)
        if not json_:
            say(f"{record['release']} in layout {record['layout']}: {found.files} file digests are right")
        return
    folder = set_folder(folder)
    manifest = Manifest(folder / "manifest.json")
    if manifest.summary.kind == "templates" and (c2pa or trust or watermark):
        raise UsageProblem(f"{folder} holds templates, and no images that could be marked; verify it without")
    with Bars() as bars:
        total = manifest.summary.counts.samples
        found = verify_folder(
            folder, manifest, pixel_digest(), on_progress=lambda done: bars.amount("verifying", done, total)
        )
    # Of files that are not what the manifest says, marks prove nothing.
    c2pa, watermark = (c2pa or trust is not None) and not found.wrong, watermark and not found.wrong
    marks = look_for_marks(folder, manifest, c2pa=c2pa, watermark=watermark, trusted=trust)
    if json_:
        as_json({"dataset": manifest.dataset, **found.as_json(), "marks": marks.as_json()})
    found.demand()
    marks.demand()
    content = found.content
    if content is None:
        raise VerificationFailed("the content's digest could not be computed", ["manifest.json"])
    _hold_against_lock(lock, str(found.release.ref) if found.release else None, content.digest, folder)
    if not json_:
        right = f"{found.files} file digests are right, pixel digests NOT checked: no image reader is installed"
        if found.kind == "templates":
            right = f"{found.files} template digests are right"
        elif found.pixels is not None:
            right = f"{found.files} file digests are right, {found.pixels} pixel digests are right"
        name = found.release.ref if found.release else manifest.dataset
        say(f"{name}: {right}, digest {content.digest}")
        for line in marks.lines():
            say(line)


def _of(found: Verified, digest: str) -> dict[str, object]:
    return {"digest": digest, "files": found.files, "wrong": found.as_json()["wrong"]}


def _hold_against_lock(path: Path | None, release: str | None, digest: str, folder: Path) -> None:
    """Raise LockMismatch where the lock holds another digest; with a lock that was named, also where it holds none."""
    if path is not None and not path.exists():
        raise UsageProblem(f"{path} is not there; write it with: facsimile lock NAME@VERSION")
    held = LockFile(path or LOCK)
    if release is None:
        if path is not None and digest not in {item.digest for item in held}:
            raise LockMismatch(f"{path} holds no release of digest {digest[:16]}…, which {folder} has")
        return
    ref = parse_ref(release)
    entry = held.demand(ref) if path is not None else held.get(ref)
    if entry is not None:
        entry.demand(digest, str(folder))
