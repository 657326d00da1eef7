"""`facsimile preview`: how a model and a variability look."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import request as requests
from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, say
from app.cli.outputs import demand_outputs
from app.client.connect import connect
from app.client.files import write_whole


def preview(
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG file to write.")],
    model: Annotated[str | None, typer.Option(help="Model; see 'facsimile models'.")] = None,
    subjects: Annotated[int | None, typer.Option(min=1, help="Rows.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Columns.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same sheet.")] = None,
    scale: Annotated[float | None, typer.Option(help="σ of the observation latents.")] = None,
    factor: Annotated[list[str] | None, typer.Option(help="Multiplies σ of a factor: pose=0.5.")] = None,
    truncation: Annotated[
        float | None, typer.Option(min=0, max=1, help="ψ of models that truncate; left out, the model's own.")
    ] = None,
    sex: Annotated[str | None, typer.Option(help="female=0.5,male=0.5, or one word for all.")] = None,
    age: Annotated[str | None, typer.Option(help="Range of apparent ages: 20-65.")] = None,
    skin_tone: Annotated[str | None, typer.Option(help="Shares, as with --sex.")] = None,
    glasses: Annotated[float | None, typer.Option(min=0, max=1, help="Share of subjects with glasses.")] = None,
    headwear: Annotated[float | None, typer.Option(min=0, max=1, help="Share of subjects with a cap.")] = None,
    mask: Annotated[float | None, typer.Option(min=0, max=1, help="Share of probes with a face mask.")] = None,
    size: Annotated[str | None, typer.Option(help="Pixels of a sample.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a small contact sheet, for choosing a variability: a row a subject, a column a sample."""
    request: dict[str, Any] = {}
    for path, value in (
        ("model", model),
        ("subjects", subjects),
        ("samples_per_subject", samples),
        ("seed", seed),
        ("variability.scale", scale),
        ("variability.truncation", truncation),
        ("attributes.sex", requests.shares(sex, "--sex")),
        ("attributes.age", requests.age(age)),
        ("attributes.skin_tone", requests.shares(skin_tone, "--skin-tone")),
        ("attributes.glasses", glasses),
        ("attributes.headwear", headwear),
        ("attributes.mask", mask),
        ("image.size", requests.size(size)),
    ):
        requests.put(request, path, value)
    requests.put_factors(request, factor or [])
    demand_outputs({"--out": out})
    client = connect(url, key)
    with requests.in_callers_words():
        sheet = client.preview(request)
    write_whole(out, sheet)
    if json_:
        as_json({"out": str(out), "bytes": len(sheet)})
    else:
        say(f"contact sheet in {out}")
