"""`facsimile convert`: a downloaded dataset in another layout, without a service."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json, say
from app.client.errors import FolderProblem, UsageProblem
from app.client.files import made_folder
from app.client.paths import inside, make_parents, set_folder
from app.dataset.layout import Layout, why_not

if TYPE_CHECKING:
    from workers.layouts.archive import Entry

ARCHIVES = (".tar", ".zip")


def convert(
    folder: Annotated[Path, typer.Argument(help="Folder of a downloaded dataset.")],
    layout: Annotated[Layout, typer.Option(help="As which test harness reads it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for it, or a file that ends in .tar or .zip.")],
    json_: JsonOption = False,
) -> None:
    """Lay a downloaded dataset out as a matcher's test harness reads it; every file is verified on the way."""
    from workers.layouts.archive import tar_of, zip_of
    from workers.layouts.folder import FolderContents
    from workers.layouts.registry import WRITERS, entries_of
    from workers.matchers.detector import load_detector

    if not folder.is_dir():
        raise UsageProblem(f"{folder} is no folder")
    if out.exists():
        raise UsageProblem(f"{out} is there already; choose another place with --out")
    if layout is Layout.ZIP and out.suffix != ".zip":
        raise UsageProblem(f"the layout 'zip' is a file; let --out end in .zip, as {out}.zip does")
    contents = FolderContents(set_folder(folder), load_detector)
    if reason := why_not(layout, contents.shape):
        raise UsageProblem(f"dataset {contents.about.dataset} cannot be laid out so: {reason}")
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    with made_folder(out.parent):
        try:
            if out.suffix in ARCHIVES:
                entries = entries_of(layout, contents)
                _write_file(part, zip_of(entries) if out.suffix == ".zip" else tar_of(entries))
            else:
                _write_folder(part, WRITERS[layout](contents))
            part.rename(out)
        except OSError as exc:
            where = f"{exc.filename}: " if exc.filename and not str(exc.filename).startswith(str(part)) else ""
            raise FolderProblem(f"{out} cannot be written: {where}{exc.strerror or exc}") from exc
        finally:
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            part.unlink(missing_ok=True)
    if json_:
        as_json({"dataset": contents.about.dataset, "layout": layout.value, "out": str(out)})
    else:
        say(f"{contents.about.dataset} as {layout}: {out}")


def _write_file(path: Path, chunks: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)


def _write_folder(folder: Path, entries: "Iterator[Entry]") -> None:
    from workers.layouts.archive import checked

    folder.mkdir()
    made: set[Path] = set()
    for entry in entries:
        path = inside(folder, entry.name)
        make_parents(folder, path, made)
        _write_file(path, checked(entry))
