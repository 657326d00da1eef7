"""`facsimile models evaluate`: what a model is worth as every judge sees it."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.config import worker_settings
from workers.commands.bars import bar


def evaluate_command(
    name: Annotated[str, typer.Argument(help="A model that is installed.")],
    subjects: Annotated[int, typer.Option(min=10, help="Subjects at each of the eight σ.")] = 100,
    samples: Annotated[int, typer.Option(min=2, help="Samples of each.")] = 3,
    identities: Annotated[int, typer.Option(min=10, help="Neutral portraits for U_class.")] = 1_000,
    keep: Annotated[bool, typer.Option(help="Write the table into the card, sheet and plot beside it.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Write JSON to standard output, for machines.")] = False,
) -> None:
    """Print a model's table by every judge, with 95% intervals; half an hour for a model that draws."""
    from workers.appraisal.pictures import sweep_plot, sweep_sheet
    from workers.appraisal.table import SIGMAS, appraise
    from workers.generator.cards import read_card, write_card
    from workers.generator.registry import load_generator, model_folders
    from workers.images import encode_sheet
    from workers.matchers.detector import load_detector
    from workers.matchers.registry import BUILT_IN, load_matcher

    settings = worker_settings()
    generator = load_generator(name, settings)
    with bar() as shown:
        task = shown.add_task("judged", total=None)
        found = appraise(
            generator,
            [load_matcher(judge, settings) for judge in BUILT_IN],
            detector=load_detector(),
            subjects=subjects,
            samples=samples,
            identities=identities,
            on_progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    if keep:
        folder = model_folders(settings)[name]
        write_card(folder, read_card(folder).model_copy(update={"evaluation": found.as_card()}))
        (folder / "sweep.png").write_bytes(encode_sheet(sweep_sheet(generator, SIGMAS), generator.card.source_type))
        (folder / "sweep.svg").write_text(sweep_plot(found), encoding="utf-8")
    if json_:
        typer.echo(json.dumps(found.as_card(), indent=1, ensure_ascii=False))
        return
    table = Table("measure", "judge", "value", "95% interval", "at the least", "met", "note")
    for row in found.rows:
        interval = "" if row.low is None else f"{row.low:.4g} … {row.high:.4g}"
        met = "" if row.met is None else "yes" if row.met else "no"
        value = "not applicable" if row.value is None else f"{row.value:.4g}"
        table.add_row(row.measure, row.judge, value, interval, row.asked, met, row.note)
    Console(width=160).print(table)
