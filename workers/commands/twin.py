"""`facsimile twin compare`: a set beside the profile of a gallery, and what of it is alike."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.cli.bars import Bars
from app.cli.options import JsonOption
from app.cli.output import as_json, say, table
from app.cli.outputs import demand_outputs
from app.client.errors import UsageProblem
from app.client.files import write_whole
from app.config import worker_settings
from workers.commands.profile import load

twin = typer.Typer(add_completion=False, no_args_is_help=True, help="How alike a set is to the profile of a gallery.")


@twin.callback()
def _group() -> None:
    """How alike a set is to the profile of a gallery."""


@twin.command("compare")
def compare_command(
    file: Annotated[Path, typer.Argument(metavar="PROFILE", help="The gallery's profile.")],
    folder: Annotated[
        Path, typer.Argument(metavar="SET", help="Folder of a downloaded dataset or release, or another gallery.")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File for the page (HTML).")] = None,
    json_: JsonOption = False,
) -> None:
    """Measure a set as the gallery was measured, and tell statistic by statistic what is alike.

    The matchers are those of the profile that are installed. About a seventh of a second a picture and core.
    """
    from workers.matchers.detector import load_detector
    from workers.matchers.registry import load_matcher, matcher_names
    from workers.profile.compare import compare
    from workers.profile.gallery import read_gallery
    from workers.profile.make import measure, weigh
    from workers.profile.page import render

    demand_outputs({"--out": out}, read=[file])
    profile = load(file)
    if not folder.exists():
        raise UsageProblem(f"{folder} is not there")
    plain = folder / "samples"
    gallery = read_gallery(plain if (folder / "manifest.json").is_file() and plain.is_dir() else folder)
    settings = worker_settings()
    installed = matcher_names(settings)
    matchers = [load_matcher(name, settings) for name in profile.matchers if name in installed]
    with Bars() as bars:
        measured = measure(
            gallery,
            matchers,
            detector=load_detector(),
            at_most=profile.privacy.pictures_per_subject,
            on_progress=partial(bars.amount, "looking at pictures"),
        )
        weights = weigh(measured, matchers, partial(bars.amount, "comparing subjects"))
    found = compare(profile, weights)
    if out is not None:
        write_whole(out, render(found, folder.absolute().name))
    if json_:
        as_json(found.as_json())
        return
    table(
        ["statistic", "gallery 5% / 50% / 95%", "set", "KS", ""],
        [
            [
                row.name,
                _short(row.gallery),
                _short(row.twin),
                "" if row.ks is None else f"{row.ks:.2f} ({row.ks_low:.2f}–{row.ks_high:.2f})",
                row.verdict,
            ]
            for row in found.rows
        ],
    )
    say(found.sentence)


def _short(values: dict[str, float | None]) -> str:
    words = [] if set(values) <= {"5%", "50%", "95%", "FNMR", "low", "high"} else list(values)
    texts = ["–" if value is None else f"{value:.3g}" for value in values.values()]
    if words:
        texts = [f"{word} {text}" for word, text in zip(words, texts, strict=True)]
    return " / ".join(texts)
