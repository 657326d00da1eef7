"""`facsimile profile`: a gallery in statistics, made where it lies; and what such a file says."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app.cli.bars import Bars
from app.cli.options import JsonOption
from app.cli.output import as_json, say
from app.cli.outputs import demand_outputs
from app.client.distribution import NAME
from app.client.errors import UsageProblem
from app.client.files import write_whole
from app.config import worker_settings
from app.dataset.profile import MOST_BYTES, QUANTITIES, Profile, read_profile


class _MakeOrShow(TyperGroup):
    """`profile FOLDER` makes one, `profile show FILE` reads one. A folder called `show` is given as ./show."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["make", *args]
        return super().parse_args(ctx, args)


profile = typer.Typer(
    cls=_MakeOrShow,
    add_completion=False,
    no_args_is_help=True,
    help="A real gallery in statistics, made where it lies: 'profile FOLDER --out FILE'. What it says: 'profile show'.",
)


@profile.command("make")
def make_command(
    gallery: Annotated[
        Path,
        typer.Argument(help="Folder (ImageFolder, LFW), CSV of path and subject, or a list of FRTE (ID PATH LABEL)."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the profile (JSON).")],
    matcher: Annotated[
        list[str] | None, typer.Option(help="Matcher whose scores are profiled; may be given again. The built-in ones.")
    ] = None,
    pictures: Annotated[
        int, typer.Option(min=1, max=1_000, help="Pictures of a subject that are looked at, at the most, evenly.")
    ] = 20,
    epsilon: Annotated[
        float | None, typer.Option(help="Differential privacy: the budget of the whole file; needs OpenDP.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Measure a gallery of real photographs and write statistics of it. Nothing is sent, no service is needed.

    The file holds no name, no picture and no template: counts of 10 subjects or more, rounded to 5. Columns sex, age,
    skin_tone and glasses of a CSV or metadata.jsonl are taken in. About a seventh of a second a picture and core.
    The word 'make' may be left out.
    """
    import importlib.metadata

    from workers.matchers.detector import load_detector
    from workers.matchers.registry import BUILT_IN, load_matcher
    from workers.profile.gallery import read_gallery
    from workers.profile.make import measure, tell, weigh
    from workers.profile.private import LaplaceNoise

    demand_outputs({"--out": out}, read=[gallery])
    if epsilon is not None:
        if not 0 < epsilon <= 1_000:
            raise UsageProblem(f"--epsilon {epsilon:g} is no budget; it is above 0 and at most 1000, and 1 is strict")
        LaplaceNoise(epsilon, ["tried"])  # says before the work what is missing
    found = read_gallery(gallery)
    settings = worker_settings()
    matchers = [load_matcher(name, settings) for name in dict.fromkeys(matcher or BUILT_IN)]
    detector = load_detector()
    with Bars() as bars:
        measured = measure(
            found,
            matchers,
            detector=detector,
            at_most=pictures,
            on_progress=lambda done, total: bars.amount("looking at pictures", done, total),
        )
        weights = weigh(measured, matchers, lambda done, total: bars.amount("comparing subjects", done, total))
    told = tell(
        weights,
        software=f"{NAME} {importlib.metadata.version(NAME)}",
        detector=detector.name,
        at_most=pictures,
        epsilon=epsilon,
    )
    write_whole(out, told.as_file())
    for reason, count in measured.reasons.most_common(10):
        say(f"{count:,} pictures could not be read, each {reason}")
    if found.unread:
        say(f"columns that are not read: {', '.join(found.unread)}")
    if json_:
        as_json({"out": str(out), "form": found.form, "subjects": told.subjects, "digest": told.digest})
        return
    say(f"{out}: {found.form}, about {told.subjects:,} subjects; see every number by 'facsimile profile show {out}'")


@profile.command("show")
def show_command(
    file: Annotated[Path, typer.Argument(help="A profile.")],
    json_: JsonOption = False,
) -> None:
    """Print every number that a profile holds, and what it means."""
    from workers.profile.show import lines

    told = load(file)
    if json_:
        logarithmic = {name for name, quantity in QUANTITIES.items() if quantity.logarithmic}
        quantiles = {
            name: histogram.quantiles(logarithmic=name in logarithmic) for name, histogram in told.quantities.items()
        }
        as_json({**told.model_dump(mode="json"), "read_off": {"quantiles": quantiles}})
        return
    for line in lines(told):
        typer.echo(line)


def load(file: Path) -> Profile:
    """A profile from its file; raises UsageProblem, RequestRefused."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UsageProblem(f"{file} has {file.stat().st_size:,} bytes; a profile has at most {MOST_BYTES:,}")
        data = file.read_bytes()
    except OSError as exc:
        raise UsageProblem(f"{file} cannot be read: {exc.strerror}") from exc
    return read_profile(data)
