"""`facsimile models evaluate`: what a model is worth as every judge sees it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.config import worker_settings
from app.errors import RequestRefused
from workers.commands.bars import bar

if TYPE_CHECKING:
    from workers.appraisal.real import RealFaces
    from workers.matchers.base import Matcher


def evaluate_command(
    name: Annotated[str, typer.Argument(help="A model that is installed.")],
    subjects: Annotated[int, typer.Option(min=10, help="Subjects at each of the eight σ, for each seed.")] = 100,
    samples: Annotated[int, typer.Option(min=2, help="Samples of each.")] = 3,
    identities: Annotated[int, typer.Option(min=10, help="Neutral portraits for U_class, for each seed.")] = 1_000,
    seeds: Annotated[int, typer.Option(min=1, help="Fresh seeds; what differs between them is printed.")] = 5,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Real photographs to compare with, a folder for each subject; may be given again."),
    ] = None,
    keep: Annotated[bool, typer.Option(help="Write the table into the card, sheet and plot beside it.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Write JSON to standard output, for machines.")] = False,
) -> None:
    """Print a model's table by every judge, over several seeds; about an eighth of a second a sample and core."""
    from workers.appraisal.pictures import sweep_plot, sweep_sheet
    from workers.appraisal.table import SIGMAS, appraise
    from workers.generator.cards import read_card, write_card
    from workers.generator.registry import SWEEP, load_generator, model_folders
    from workers.images import encode_sheet
    from workers.matchers.detector import load_detector
    from workers.matchers.registry import BUILT_IN, load_matcher

    settings = worker_settings()
    generator = load_generator(name, settings)
    judges = [load_matcher(judge, settings) for judge in BUILT_IN]
    folders = against or []
    if len({folder.name for folder in folders}) < len(folders):
        raise RequestRefused([("against", "two folders have the same name, by which the table calls them; rename one")])
    real = [_real(folder, judges) for folder in folders]
    with bar() as shown:
        task = shown.add_task("judged", total=None)
        found = appraise(
            generator,
            judges,
            detector=load_detector(),
            subjects=subjects,
            samples=samples,
            identities=identities,
            seeds=seeds,
            against=real,
            on_progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    if keep:
        folder = model_folders(settings)[name]
        write_card(folder, read_card(folder).model_copy(update={"evaluation": found.as_card()}))
        (folder / SWEEP).write_bytes(encode_sheet(sweep_sheet(generator, SIGMAS), generator.card.source_type))
        (folder / "sweep.svg").write_text(sweep_plot(found), encoding="utf-8")
    if json_:
        typer.echo(json.dumps(found.as_card(), indent=1, ensure_ascii=False))
        return
    table = Table("measure", "judge", "value", found.spread, "at the least", "met", "note")
    for row in found.rows:
        interval = "" if row.low is None else f"{row.low:.4g} … {row.high:.4g}"
        if row.low is not None and seeds > 1 and not row.by_seed:
            interval += " (95%)"
        met = "" if row.met is None else "yes" if row.met else "no"
        value = "not applicable" if row.value is None else f"{row.value:.4g}"
        table.add_row(row.measure, row.judge, value, interval, row.asked, met, row.note)
    Console(width=160).print(table)


def _real(folder: Path, judges: "list[Matcher]") -> "RealFaces":
    from workers.appraisal.real import read_real_faces
    from workers.matchers.detector import load_detector

    with bar() as shown:
        task = shown.add_task(folder.name, total=None)
        return read_real_faces(
            folder,
            judges,
            detector=load_detector(),
            on_progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
