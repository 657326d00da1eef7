"""`facsimile models calibrate`: which scale gives a difficulty, found in this process, without a service."""

from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from app.config import worker_settings
from app.dataset.request import Checks
from app.errors import RequestRefused
from workers.commands.bars import bar

if TYPE_CHECKING:
    from app.dataset.calibration import Calibration
    from workers.biometrics.crossed import CrossedScores


def calibrate_command(
    name: Annotated[str, typer.Argument(help="A model that is installed.")],
    fnmr: Annotated[float, typer.Option(help="FNMR wanted.")],
    fmr: Annotated[float, typer.Option(help="At a threshold of this FMR.")] = 1e-2,
    matcher: Annotated[str, typer.Option(help="Matcher whose scores count.")] = "sface",
    subjects: Annotated[int, typer.Option(min=2)] = 300,
    samples: Annotated[int, typer.Option(min=2, help="Samples of each; every two are a mated comparison.")] = 3,
    tolerance: Annotated[float, typer.Option(help="Share of FNMR.")] = 0.1,
    json_: Annotated[bool, typer.Option("--json", help="Write JSON to standard output, for machines.")] = False,
) -> None:
    """Find the scale at which a model's sets are as hard as asked, in this process; exits with 1 if there is none."""
    from app.dataset.calibration import CALIBRATION_SEED, CalibrationRequest
    from app.dataset.planning import make_plan
    from workers.biometrics.calibration import Limits, calibrate
    from workers.generator.registry import load_generator
    from workers.matchers.detector import load_detector
    from workers.matchers.registry import card_of, load_matcher
    from workers.pipeline.calibrate import target_of, templates_at
    from workers.pipeline.scoring import compare_all, metric_of

    settings = worker_settings()
    generator, judge, detector = load_generator(name, settings), load_matcher(matcher, settings), load_detector()
    asked = {"matcher": matcher, "fmr": fmr, "fnmr": fnmr, "tolerance": tolerance}
    question = {"model": name, "target": asked, "subjects": subjects, "samples_per_subject": samples}
    try:
        request = CalibrationRequest.model_validate(question).as_dataset()
    except ValidationError as exc:
        raise RequestRefused([(".".join(map(str, e["loc"])), e["msg"]) for e in exc.errors()]) from exc
    plan = make_plan(
        # Identities as they are drawn: to choose among them takes a survey, which is the service's work.
        request.model_copy(update={"checks": Checks(unique=False)}),
        generator.card,
        dataset="calibration",
        seed=CALIBRATION_SEED,
        shard_size=subjects * samples,
        max_comparisons=0,
        matchers={matcher: card_of(judge)},
    )
    with bar() as shown:
        task = shown.add_task("samples at this scale", total=subjects * samples)

        def evaluate(scale: float) -> "CrossedScores":
            table = templates_at(
                plan,
                scale,
                generator=generator,
                choice=None,
                detector=detector,
                matcher=judge,
                on_progress=lambda done: shown.update(task, completed=done),
            )
            return compare_all(table, subjects=subjects, metric=metric_of(judge), fmr=fmr)

        limits = Limits(high=plan.largest_scale)
        found = calibrate(evaluate, target_of(plan), samples=subjects * samples, limits=limits)
    if json_:
        typer.echo(found.model_dump_json(indent=1))
    else:
        _print_calibration(found)
    if found.outcome != "met":
        raise typer.Exit(1)


def _print_calibration(found: "Calibration") -> None:
    table = Table("scale", "FNMR", "95% by subject", "FMR", "not completed")
    for point in found.curve:
        rate = point.measured.fnmr
        interval = rate.interval
        failures = f"{rate.failed} of {rate.failed + rate.trials}"
        between = f"{interval.low:.4f} … {interval.high:.4f}"
        table.add_row(f"{point.scale:g}", f"{rate.value:.4f}", between, f"{point.measured.fmr.value:.5f}", failures)
    console = Console(width=110)
    console.print(table)
    console.print(f"{found.outcome}: {found.note}")
