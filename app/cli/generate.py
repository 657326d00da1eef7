"""`facsimile generate`: ask for a dataset, watch it, download it, verify it. Repeated, it goes on where it was."""

import hashlib
import json
import secrets
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.cli import request as requests
from app.cli.bars import Bars
from app.cli.endings import INTERRUPTED
from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, fields, megabytes, say
from app.client.archives import archive_name, fetch_archive
from app.client.cache import Cache, told
from app.client.connect import connect
from app.client.distribution import how_to_get
from app.client.errors import DatasetEnded, Shortfall, UsageProblem
from app.client.fetch import ASIDE, MANIFEST, Expected, Fetch, demand_free
from app.client.files import made_folder
from app.client.manifest import Manifest
from app.client.readers import open_http
from app.client.service import Client
from app.client.sources import dataset_source
from app.client.verifiers import pixel_digest
from app.client.verify import verify
from app.client.watch import FINAL, watch
from app.dataset.layout import Layout

Json = dict[str, Any]

MAX_ENDED = 50
"""How many failed or cancelled datasets of the same command are passed over."""


def generate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the dataset.")],
    file: Annotated[str | None, typer.Argument(metavar="REQUEST.json", help="The request ('-': stdin).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset.")] = None,
    like: Annotated[
        Path | None, typer.Option(help="Profile of a gallery ('facsimile profile'): make the set as like it as can be.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model; see 'facsimile models'.")] = None,
    subjects: Annotated[int | None, typer.Option(min=1, help="How many subjects.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples of each subject.")] = None,
    distractors: Annotated[int | None, typer.Option(min=0, help="Further subjects with one sample each.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same pixels.")] = None,
    scale: Annotated[float | None, typer.Option(help="σ of the observation latents.")] = None,
    factor: Annotated[list[str] | None, typer.Option(help="Multiplies σ of a factor: pose=0.5.")] = None,
    truncation: Annotated[
        float | None, typer.Option(min=0, max=1, help="ψ of models that truncate; left out, the model's own.")
    ] = None,
    fnmr: Annotated[float | None, typer.Option(help="Instead of --scale: the FNMR the set shall have …")] = None,
    fmr: Annotated[float | None, typer.Option(help="… at a threshold of this FMR …")] = None,
    matcher: Annotated[
        str | None, typer.Option(help="… by this matcher, or whose templates; see 'facsimile matchers'.")
    ] = None,
    tolerance: Annotated[float | None, typer.Option(help="By this share FNMR may be missed; left out, 0.1.")] = None,
    product: Annotated[
        Literal["images", "templates"] | None,
        typer.Option(help="templates: those of --matcher alone, and no image is kept."),
    ] = None,
    judged: Annotated[int | None, typer.Option(min=0, help="Subjects that are judged for the report.")] = None,
    sex: Annotated[str | None, typer.Option(help="female=0.5,male=0.5, or one word for all.")] = None,
    age: Annotated[str | None, typer.Option(help="Range of apparent ages: 20-65.")] = None,
    skin_tone: Annotated[str | None, typer.Option(help="Shares, as with --sex.")] = None,
    glasses: Annotated[float | None, typer.Option(min=0, max=1, help="Share of subjects with glasses.")] = None,
    headwear: Annotated[float | None, typer.Option(min=0, max=1, help="Share of subjects with a cap.")] = None,
    mask: Annotated[float | None, typer.Option(min=0, max=1, help="Share of probes with a face mask.")] = None,
    size: Annotated[str | None, typer.Option(help="Pixels: 128, or 480x600 (width × height).")] = None,
    image_format: Annotated[str | None, typer.Option("--format", help="png or jpeg.")] = None,
    quality: Annotated[int | None, typer.Option(min=1, max=100, help="Of JPEG files.")] = None,
    comparisons: Annotated[str | None, typer.Option(help="balanced, crossed, complete or none.")] = None,
    unique: Annotated[bool | None, typer.Option(help="Check that no two subjects are alike.")] = None,
    face_found: Annotated[bool | None, typer.Option(help="Check that every sample shows a face.")] = None,
    layout: Annotated[
        list[Layout] | None, typer.Option(help="Download its archive in this layout as well; may be repeated.")
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Ask for a new dataset even if this command was given before.")
    ] = False,
    allow_shortfall: Annotated[
        bool, typer.Option("--allow-shortfall", help="Exit with 0 even if samples are missing.")
    ] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a dataset and download it into a folder, every file verified.

    The request comes from a JSON file, from options, or both (options win). To repeat a broken-off command is to
    go on with the same dataset; what is in the folder already and right is not downloaded again.
    """
    request = requests.read_request(file)
    for path, value in (
        ("name", name),
        ("model", model),
        ("subjects", subjects),
        ("samples_per_subject", samples),
        ("distractors", distractors),
        ("seed", seed),
        ("variability.scale", scale),
        ("variability.truncation", truncation),
        ("variability.target.fnmr", fnmr),
        ("variability.target.fmr", fmr),
        ("product", product),
        *requests.whose(matcher, request, product=product, has_target=fnmr is not None or fmr is not None),
        ("variability.target.tolerance", tolerance),
        ("report.judged_subjects", judged),
        ("attributes.sex", requests.shares(sex, "--sex")),
        ("attributes.age", requests.age(age)),
        ("attributes.skin_tone", requests.shares(skin_tone, "--skin-tone")),
        ("attributes.glasses", glasses),
        ("attributes.headwear", headwear),
        ("attributes.mask", mask),
        ("image.size", requests.size(size)),
        ("image.format", image_format),
        ("image.quality", quality),
        ("comparisons.selection", comparisons),
        ("checks.unique", unique),
        ("checks.face_found", face_found),
        ("layouts", [asked.value for asked in layout] if layout else None),
    ):
        requests.put(request, path, value)
    requests.put_factors(request, factor or [])
    if like is not None:
        request["like"] = requests.read_request(str(like))
    for field, option in (("subjects", "--subjects"), ("samples_per_subject", "--samples")):
        if field not in request and "like" not in request:
            raise UsageProblem(f"how many? Give {option} or a request file that holds {field!r}")
    request.setdefault("name", out.absolute().name or "dataset")
    if out.exists() and not out.is_dir():
        raise UsageProblem(f"{out} is no folder")
    client = connect(url, key)
    try:
        with made_folder(out), requests.in_callers_words(file):
            result = make(client, request, out, new=new)
        result["layouts"] = _fetch_layouts(client, result["dataset"]["id"], layout or [], out)
    finally:
        client.close()
    _show(result, out, json_)
    missing = result["dataset"]["counts"]["shortfall"]
    if missing and not allow_shortfall:
        raise Shortfall(
            f"{missing} samples could not be made; the manifest's 'shortfall' says which and why "
            "(--allow-shortfall accepts that)"
        )


def make(client: Client, request: Json, out: Path, *, new: bool = False) -> Json:
    """From a request to a verified folder; returns the dataset, what was verified, and how long each part took."""
    begun = time.monotonic()
    dataset, is_new = _submit(client, request, out, new)
    demand_free(out, dataset["id"])  # before the wait: a wrong folder is to be told at once
    before = "" if is_new else f", already asked for and {dataset['state']} (--new asks for another)"
    say(f"dataset {dataset['id']}: {request['name']}{before}")
    for warning in dataset.get("warnings", ()):
        say(f"warning: {warning}")
    with Bars() as bars:
        try:
            dataset = watch(client, dataset, bars)
        except KeyboardInterrupt:
            bars.end()
            say(
                f"the service goes on making {dataset['id']}; repeat the command to go on with it, "
                f"or stop it: facsimile cancel {dataset['id']}"
            )
            raise typer.Exit(INTERRUPTED) from None
        bars.end()
        if dataset["state"] != "succeeded":
            raise DatasetEnded(f"dataset {dataset['id']} {_ending(dataset)}")
        made = time.monotonic()
        _download(client, dataset, out, bars)
        fetched = time.monotonic()
        verified = verify(
            out,
            Manifest(out / MANIFEST),
            pixel_digest(),
            expected=dataset.get("digests"),
            on_progress=lambda done: bars.amount("verifying", done, dataset["counts"]["samples"]),
        )
        bars.end()
    verified.demand()
    return {
        "dataset": dataset,
        "out": str(out),
        "verified": verified.as_json(),
        "seconds": {
            "made": round(made - begun, 2),
            "downloaded": round(fetched - made, 2),
            "verified": round(time.monotonic() - fetched, 2),
        },
    }


def _submit(client: Client, request: Json, out: Path, new: bool) -> tuple[Json, bool]:
    """Ask for the dataset, and hear whether it is new; one of this same command that failed before does not count."""
    text = json.dumps([request, str(out.absolute())], sort_keys=True)
    stem = secrets.token_hex(16) if new else hashlib.sha256(text.encode()).hexdigest()[:32]
    for number in range(MAX_ENDED):
        dataset, is_new = client.submit(request, f"cli-{stem}-{number}")
        if dataset["state"] not in ("failed", "cancelled"):
            return dataset, is_new
    raise DatasetEnded(f"dataset {dataset['id']} {_ending(dataset)}; --new asks for another")


def _download(client: Client, dataset: Json, out: Path, bars: Bars) -> None:
    """Fetch what is missing or wrong. The cache is the folder's own: these files are to be the user's alone."""
    with told(out), open_http(client.url) as http:
        Fetch(
            dataset_source(client, http, dataset["id"]),
            out,
            Cache(out / ASIDE / "cache", mode=0o644),
            Expected(dataset=dataset["id"], digests=dataset.get("digests")),
            on_bytes=lambda done, total: bars.amount("downloading", done, total, unit="B"),
        ).run()
    bars.end()


def _fetch_layouts(client: Client, dataset: str, layouts: list[Layout], out: Path) -> list[str]:
    """Download what is not there into the folder `layouts` beside the samples; returns the files."""
    found = []
    for layout in dict.fromkeys(layouts):
        if layout.stored:
            path = out / "layouts" / archive_name(dataset, layout)
            if not path.exists():
                with Bars() as bars:
                    archive = client.archive(dataset, layout)
                    fetch_archive(client, archive, path, partial(bars.amount, str(layout), unit="B"))
                    bars.end()
            found.append(str(path))
    return found


def _ending(dataset: Json) -> str:
    if dataset["state"] == "failed":
        return f"has failed: {dataset.get('failure') or 'no reason is given'}"
    return f"is {dataset['state']}" if dataset["state"] in FINAL else f"is still {dataset['state']}"


def _show(result: Json, out: Path, json_: bool) -> None:
    if json_:
        as_json(result)
        return
    dataset, seconds, verified = result["dataset"], result["seconds"], result["verified"]
    counts = dataset["counts"]
    checked = f"{verified['files']} file digests"
    if verified["product"] == "templates":
        checked = f"{verified['files']} template digests are right; no image is kept"
    elif verified["pixels"] is None:
        checked += f"; pixel digests NOT checked: no image reader is installed ({how_to_get('match')})"
    else:
        checked += f" and {verified['pixels']} pixel digests are right"
    fields(
        [
            ("dataset", f"{dataset['id']}  (seed {dataset['seed']})"),
            ("model", " ".join(str(dataset["model"].get(part, "")) for part in ("name", "version"))),
            ("samples", f"{counts['samples']} of {counts['subjects']} subjects, {megabytes(counts['bytes'])}"),
            ("rejected", counts["rejected"] or ""),
            ("verified", checked),
            ("folder", out),
            ("layouts", ", ".join(result["layouts"])),
            (
                "time",
                f"made in {seconds['made']} s, downloaded in {seconds['downloaded']} s, "
                f"verified in {seconds['verified']} s",
            ),
        ]
    )
