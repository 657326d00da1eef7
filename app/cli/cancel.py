"""`facsimile cancel`: stop a dataset, or a calibration."""

import re
from typing import Annotated

import typer

from app.cli.options import JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, say
from app.client.connect import connect
from app.client.watch import FINAL

CALIBRATION_ID = re.compile("[0-9a-f]{64}")


def cancel(
    dataset: Annotated[
        str, typer.Argument(metavar="ID", help="Dataset, or its name where one alone has it; or a calibration's id.")
    ],
    url: UrlOption = None,
    key: KeyOption = None,
    json_: JsonOption = False,
) -> None:
    """Stop a dataset, or a calibration, that is under way."""
    client = connect(url, key)
    if CALIBRATION_ID.fullmatch(dataset):
        found = client.cancel_calibration(dataset)
    else:
        dataset = client.dataset_id(dataset)
        found = client.cancel(dataset)
    if json_:
        as_json(found)
    elif found["state"] in FINAL:
        say(f"{dataset} is {found['state']}")
    else:
        say(f"{dataset} goes on: others asked for it, too")
