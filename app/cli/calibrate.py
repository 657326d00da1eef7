"""`facsimile calibrate`: which scale gives a difficulty."""

import time
from typing import Annotated, Any

import typer

from app.cli import request as requests
from app.cli.bars import Bars
from app.cli.endings import INTERRUPTED
from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, fields, say, table
from app.client.connect import connect
from app.client.errors import CalibrationEnded
from app.client.service import Client
from app.client.watch import FINAL
from app.dataset.measures import Rate

Json = dict[str, Any]

LOOK_EVERY_S = 1.0


def calibrate(
    fnmr: Annotated[float, typer.Option(help="FNMR wanted.")],
    fmr: Annotated[float, typer.Option(help="At a threshold of this FMR.")] = 1e-2,
    matcher: Annotated[str, typer.Option(help="Matcher whose scores count; see 'facsimile matchers'.")] = "sface",
    tolerance: Annotated[float | None, typer.Option(help="Share of FNMR.")] = None,
    model: Annotated[str | None, typer.Option(help="Model; see 'facsimile models'.")] = None,
    factor: Annotated[list[str] | None, typer.Option(help="Multiplies σ of a factor: pose=0.5.")] = None,
    truncation: Annotated[
        float | None, typer.Option(min=0, max=1, help="ψ of models that truncate; left out, the model's own.")
    ] = None,
    subjects: Annotated[int | None, typer.Option(min=2, help="Subjects it is measured on.")] = None,
    samples: Annotated[int | None, typer.Option(min=2, help="Samples of each; every two are compared.")] = None,
    sex: Annotated[str | None, typer.Option(help="female=0.5,male=0.5, or one word for all.")] = None,
    age: Annotated[str | None, typer.Option(help="Range of apparent ages: 20-65.")] = None,
    skin_tone: Annotated[str | None, typer.Option(help="Shares, as with --sex.")] = None,
    glasses: Annotated[float | None, typer.Option(min=0, max=1, help="Share of subjects with glasses.")] = None,
    headwear: Annotated[float | None, typer.Option(min=0, max=1, help="Share of subjects with a cap.")] = None,
    mask: Annotated[float | None, typer.Option(min=0, max=1, help="Share of probes with a face mask.")] = None,
    size: Annotated[str | None, typer.Option(help="Pixels of a sample.")] = None,
    image_format: Annotated[str | None, typer.Option("--format", help="png or jpeg.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Find the scale at which a model's sets are as hard as asked; made once, then known to everyone."""
    request: Json = {"target": {"matcher": matcher, "fmr": fmr, "fnmr": fnmr}}
    for path, value in (
        ("target.tolerance", tolerance),
        ("truncation", truncation),
        ("model", model),
        ("subjects", subjects),
        ("samples_per_subject", samples),
        ("attributes.sex", requests.shares(sex, "--sex")),
        ("attributes.age", requests.age(age)),
        ("attributes.skin_tone", requests.shares(skin_tone, "--skin-tone")),
        ("attributes.glasses", glasses),
        ("attributes.headwear", headwear),
        ("attributes.mask", mask),
        ("image.size", requests.size(size)),
        ("image.format", image_format),
    ):
        requests.put(request, path, value)
    for name, value in requests.factors(factor or []).items():
        requests.put(request, f"factors.{name}", value)
    client = connect(url, key)
    with requests.in_callers_words():
        found = _wait(client, request)
    if json_:
        as_json(found)
    elif found["result"]:
        _show(found)
    if found["state"] != "succeeded":
        raise CalibrationEnded(f"the calibration has {found['state']}: {found.get('failure') or 'no reason is given'}")
    if found["result"]["outcome"] != "met":
        raise CalibrationEnded(f"{found['result']['outcome']}: {found['result']['note']}")


def _wait(client: Client, request: Json) -> Json:
    found = client.calibrate(request)
    say(f"{'known already: ' if found['from_cache'] else ''}calibration {found['id']}")
    with Bars() as bars:
        try:
            while found["state"] not in FINAL:
                bars.dataset(found)
                time.sleep(LOOK_EVERY_S)
                found = {**client.calibration(found["id"]), "from_cache": found["from_cache"]}
        except KeyboardInterrupt:
            bars.end()
            say(
                "the service goes on with it; repeat the command to wait for it again, "
                f"or stop it: facsimile cancel {found['id']}"
            )
            raise typer.Exit(INTERRUPTED) from None
    return found


def _show(found: Json) -> None:
    result = found["result"]
    table(
        ["scale", "FNMR", "95% by subject", "FMR", "not completed"],
        [
            [
                f"{point['scale']:g}",
                f"{rate['value']:.4f}",
                _between(rate),
                f"{point['measured']['fmr']['value']:.5f}",
                f"{rate['failed']} of {rate['failed'] + rate['trials']}",
            ]
            for point in result["curve"]
            for rate in (point["measured"]["fnmr"],)
        ],
    )
    low, high = result["reachable"]
    fields(
        [
            ("outcome", f"{result['outcome']}: {result['note']}"),
            ("scale", result["scale"]),
            ("95% of it", "" if result["scale_interval"] is None else _range(result["scale_interval"])),
            ("measured", f"FNMR {low:.4g} to {high:.4g} at scales {_range(result['searched'])}"),
            ("cost", f"{result['samples']:,} samples, {result['comparisons']:,} comparisons on the curve"),
        ]
    )


def _between(rate: Json) -> str:
    interval = Rate.model_validate(rate).interval
    return f"{interval.low:.4f} … {interval.high:.4f}"


def _range(ends: list[float]) -> str:
    return f"{ends[0]:.4g} to {ends[1]:.4g}"
