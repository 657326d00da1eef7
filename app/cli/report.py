"""`facsimile report`: the report of a dataset, in plain sentences or as a file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.options import DatasetArgument, JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, say, show
from app.cli.outputs import demand_outputs
from app.client.connect import connect
from app.client.errors import UsageProblem
from app.client.files import made_folder, write_whole
from app.dataset.report import Report

FORMATS = {".html": "html", ".json": "json"}


def report(
    dataset: DatasetArgument,
    to: Annotated[
        Path | None, typer.Option("--out", "-o", help="File: .html to read and print, .json with every figure.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Tell what a dataset is and how hard, or write its report into a file."""
    if to is not None and to.suffix not in FORMATS:
        raise UsageProblem(f"{to} says not which form is wanted; give a name that ends in .html or .json")
    client = connect(url, key)
    dataset = client.dataset_id(dataset)
    if to is not None:
        with made_folder(to.parent):
            demand_outputs({"--out": to})
            write_whole(to, client.product(dataset, f"report?format={FORMATS[to.suffix]}"))
        say(f"report in {to}")
        return
    found = Report.model_validate_json(client.product(dataset, "report?format=json"))
    if json_:
        shown: dict[str, Any] = found.model_dump(mode="json")
        as_json(shown)
        return
    for sentence in found.summary:
        show(sentence)
