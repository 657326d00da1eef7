"""Options and arguments that several commands take."""

from typing import Annotated

import typer

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", help="Service to speak to. Left out: $FACSIMILE_URL, or the one started in ./facsimile-data."
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", help="API key. Left out: $FACSIMILE_API_KEY, or ./facsimile-data/api-key."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON to standard output, for machines.")]
DatasetArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Dataset, e.g. ds_06fa3k9x2m7q0v4c8d1e, or its name where one alone has it.")
]
