"""`facsimile diff`: what changed between two releases, folders, or a release and a folder."""

import tempfile
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from pydantic import ValidationError

from app.cli.client import Client, Json
from app.cli.connect import JsonOption, KeyOption, UrlOption, connect
from app.cli.errors import FAILED, NotComparable, ServiceRefused, ServiceUnreachable, UsageProblem
from app.cli.manifest import Manifest
from app.cli.output import as_json, fields, out, table
from app.cli.releases.records import content_of_manifest, read_release
from app.cli.releases.service import Lazily
from app.dataset.release import RELEASE_FILE, Change, DiffSide, Names, ReleaseDiff, ReleasedModel
from app.dataset.version import ReleaseRef, parse_ref
from app.errors import FacsimileError

SHOWN = 40
"""Changed values that are listed; all are in the JSON."""


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="NAME@VERSION, or the folder of a release or dataset.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Show what changed from A to B: request, model, σ, subjects, samples, measures.

    Exits with 0 if not a byte of a sample or comparison differs, with 1 if something does, and with 2 if they cannot
    be compared. Two folders need no service.
    """
    client = Lazily(lambda: connect(url, key))
    try:
        found = _compare(before, after, client)
    except FacsimileError as exc:
        raise NotComparable(str(exc)) from exc
    if json_:
        as_json(found.model_dump(mode="json"))
    else:
        _show(found)
    if not found.same_content:
        raise typer.Exit(FAILED)


class _Side(NamedTuple):
    """One of the two."""

    folder: Path
    """Its manifest.json lies here, and report.json and release.json if it has them."""
    name: str
    version: str


def _compare(before: str, after: str, client: Lazily) -> ReleaseDiff:
    if not Path(before).is_dir() and not Path(after).is_dir():
        old, new = parse_ref(before), parse_ref(after)
        try:
            return ReleaseDiff.model_validate(client().release_diff(*old, str(new)))
        except ValidationError as exc:
            raise ServiceUnreachable(f"the service sends no comparison of releases; is the URL right? ({exc})") from exc
    with tempfile.TemporaryDirectory() as temporary:
        sides = [
            _of_folder(Path(text)) if Path(text).is_dir() else _of_service(parse_ref(text), Path(temporary), client())
            for text in (before, after)
        ]
        return compare_folders(*sides)


def _of_folder(folder: Path) -> _Side:
    if not (folder / "manifest.json").is_file():
        raise UsageProblem(f"{folder} holds no manifest.json: only folders in the plain layout can be compared")
    release = read_release(folder / RELEASE_FILE)
    if release is None:
        return _Side(folder, Manifest(folder / "manifest.json").dataset, "")
    return _Side(folder, release.name, release.version)


def _of_service(ref: ReleaseRef, folder: Path, client: Client) -> _Side:
    manifest = client.stream("GET", client.release_part(*ref, "manifest"))
    with manifest as answer, client.translated(), (folder / "manifest.json").open("wb") as file:
        for chunk in answer.iter_bytes():
            file.write(chunk)
    try:
        with client.stream("GET", client.release_part(*ref, "report")) as answer, client.translated():
            (folder / "report.json").write_bytes(answer.read())
    except ServiceRefused as exc:
        if exc.status != 404:
            raise
    return _Side(folder, ref.name, ref.version)


def compare_folders(before: _Side, after: _Side) -> ReleaseDiff:
    """Compare two folders by their manifests and reports; the samples' own files are not read."""
    # Late, for it brings the store's client with it.
    from app.jobs.releases.diff import SampleCount, changes, figures

    manifests = [Manifest(side.folder / "manifest.json") for side in (before, after)]
    old, new = (manifest.summary for manifest in manifests)
    sides = [_described(side, manifest) for side, manifest in zip((before, after), manifests, strict=True)]
    count = SampleCount()
    if sides[0].digest == sides[1].digest:
        count.same(sides[0].counts)
    else:
        count.compare(manifests[0].samples(), manifests[1].samples())
    reports = [_report(side.folder) for side in (before, after)]
    return ReleaseDiff(
        before=sides[0],
        after=sides[1],
        same_content=sides[0].digest == sides[1].digest,
        same_pixels=sides[0].pixels_digest == sides[1].pixels_digest,
        same_comparisons=sides[0].comparisons_sha256 == sides[1].comparisons_sha256,
        request=changes(*({**summary["request"], "name": None} for summary in (old, new))),
        model=changes(old["model"], new["model"]),
        sigma=changes(old["sigma"], new["sigma"]),
        subjects=count.subjects(),
        samples=count.samples(),
        measures=changes(*map(figures, reports)),
    )


def _described(side: _Side, manifest: Manifest) -> DiffSide:
    content = content_of_manifest(manifest)
    model = manifest.summary["model"]
    return DiffSide(
        name=side.name,
        version=side.version,
        digest=content.digest,
        samples_digest=content.samples,
        pixels_digest=content.pixels,
        comparisons_sha256=(manifest.summary.get("comparisons") or {}).get("sha256"),
        model=ReleasedModel(**{field: str(model[field]) for field in ReleasedModel.model_fields}),
        counts=manifest.summary["counts"],
    )


def _report(folder: Path) -> bytes | None:
    try:
        return (folder / "report.json").read_bytes()
    except FileNotFoundError:
        return None


def _show(found: ReleaseDiff) -> None:
    fields([(side, f"{_name(of)}  digest {of.digest[:16]}…") for side, of in (("A", found.before), ("B", found.after))])
    if found.same_content:
        out().print("the same: not a byte of a sample or a comparison differs", markup=False)
        return
    parts = (("pixels", found.same_pixels), ("comparisons", found.same_comparisons))
    same = [name for name, is_same in parts if is_same]
    out().print("they differ" + (f"; the same {' and '.join(same)}" if same else ""), markup=False)
    rows = []
    for what, counted in (("subjects", found.subjects), ("samples", found.samples)):
        for kind, names in counted:
            if isinstance(names, Names) and names.count:
                first = ", ".join(names.first[:3]) + (" …" if names.count > 3 else "")
                rows.append([what, kind, str(names.count), first])
            elif not isinstance(names, Names):
                rows.append([what, kind, str(names), ""])
    table(["", "became", "count", "first"], rows)
    changed: list[tuple[str, Change]] = [
        (what, change) for what in ("request", "model", "sigma", "measures") for change in getattr(found, what)
    ]
    if changed:
        table(
            ["of the", "field", "A", "B"],
            [[what, item.field, _value(item.before), _value(item.after)] for what, item in changed[:SHOWN]],
        )
    if len(changed) > SHOWN:
        out().print(f"and {len(changed) - SHOWN} more (--json shows all)", markup=False)


def _name(side: DiffSide) -> str:
    return f"{side.name}@{side.version}" if side.version else side.name


def _value(value: Json | str | float | None) -> str:
    return "–" if value is None else str(value)[:60]
