"""`facsimile models import …`: other people's weights made into a model folder, offline."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json

importing = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Make a model out of weights that others published."
)


@importing.callback()
def _formats() -> None:
    """Make a model out of weights that others published."""


@importing.command("sdgan-web")
def sdgan_web_command(
    source: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="Folder with manifest.json.")
    ],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of models: what FACSIMILE_WORKER__MODELS_DIR names.")
    ],
    name: Annotated[str, typer.Option(help="The model's name, and its folder's.")] = "sdbegan",
    json_: JsonOption = False,
) -> None:
    """Import the SD-BEGAN of Donahue et al. as its authors publish it (raw float32 files and a manifest.json)."""
    from workers.generator.sdbegan.sdgan_web import import_sdgan_web

    found = import_sdgan_web(source, out, name)
    if found.grid_difference is None:
        proof = "no grid of the authors' lies beside the weights, so nothing shows that the images are theirs"
    else:
        proof = f"the authors' own grid comes out of it to {found.grid_difference:.2g} of 255"
    if json_:
        card = found.card
        as_json({"folder": str(found.folder), "model": card.name, "version": card.version, "digest": card.digest})
        return
    typer.echo(f"{found.folder}: model {found.card.name} {found.card.version}, digest {found.card.digest}; {proof}")
    typer.echo(found.card.provenance, err=True)
    typer.echo(f"To offer it, start the workers with FACSIMILE_WORKER__MODELS_DIR={out.absolute()}", err=True)
