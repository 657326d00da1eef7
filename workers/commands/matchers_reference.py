"""`facsimile matchers reference`: thresholds that are right for real faces, of photographs that stay where they are."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json
from app.cli.outputs import demand_outputs
from app.client.files import write_whole
from app.config import worker_settings
from workers.commands.bars import bar


def reference_command(
    folder: Annotated[Path, typer.Argument(help="Real photographs: a folder for each subject.")],
    out: Annotated[Path, typer.Option(help="File for the thresholds.")] = Path("reference.json"),
    name: Annotated[str, typer.Option(help="What reports call the collection.")] = "the operator's real faces",
    matcher: Annotated[list[str] | None, typer.Option(help="Matcher; may be given again. The built-in ones.")] = None,
    json_: JsonOption = False,
) -> None:
    """Measure matchers' thresholds on real faces; no face, template or name is kept. A seventh of a second a picture.

    Reports of sets then say which share of their non-mated pairs would match at such a threshold.
    """
    from workers.appraisal.real import read_real_faces, reference_of
    from workers.matchers.detector import load_detector
    from workers.matchers.registry import BUILT_IN, load_matcher

    demand_outputs({"--out": out})
    settings = worker_settings()
    judges = [load_matcher(judge, settings) for judge in matcher or BUILT_IN]
    with bar() as shown:
        task = shown.add_task("pictures", total=None)
        faces = read_real_faces(
            folder,
            judges,
            detector=load_detector(),
            on_progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    found = reference_of(faces, judges, name)
    write_whole(out, f"{found.model_dump_json(indent=1)}\n".encode())
    if json_:
        as_json(found.model_dump(mode="json"))
        return
    for point in found.thresholds:
        typer.echo(
            f"{point.matcher}: FMR {point.target_fmr:g} at {point.threshold:.4f}, of {point.comparisons:,} comparisons "
            f"of {point.subjects} people"
        )
    typer.echo(f"{out}: set FACSIMILE_WORKER__REFERENCE to it where workers run, and reports read sets against it")
