"""`facsimile models import …`: other people's weights made into a model folder, offline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from app.cli.options import JsonOption
from app.cli.output import as_json
from app.errors import RequestRefused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workers.generator.imported.model_folder import Asked

CHECKPOINT = "checkpoint"
"""The command that is meant where none is named: `models import FILE`."""

MANIFEST = "manifest.json"
"""What marks a folder of sdgan-web."""

SPACES = ("Z", "W")


class _SourceFirst(TyperGroup):
    """A group whose first argument may be a source instead of a command's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [CHECKPOINT, *args]
        return super().parse_args(ctx, args)


importing = typer.Typer(
    cls=_SourceFirst,
    add_completion=False,
    no_args_is_help=True,
    help="Make a model out of weights that others published.",
)


@importing.callback()
def _formats() -> None:
    """Make a model out of weights that others published: `models import SOURCE`, whatever the source is."""


@importing.command(CHECKPOINT)
def checkpoint_command(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A checkpoint's file, or a folder of sdgan-web or ICT-FaceKit.")
    ],
    name: Annotated[str | None, typer.Option(help="The model's name, and its folder's.")] = None,
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder of models: what FACSIMILE_WORKER__MODELS_DIR names.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Under which you have the weights: an SPDX name, or its text.")
    ] = None,
    provenance: Annotated[
        str | None, typer.Option(help="Where the weights come from, and on whose faces they were trained.")
    ] = None,
    look: Annotated[bool, typer.Option("--look", help="Say what the file holds, and write nothing.")] = False,
    network: Annotated[
        str | None, typer.Option(help="Which network of the file; the averaged one if left out.")
    ] = None,
    truncation: Annotated[float, typer.Option(help="ψ, from 1 (none) to 0 (one face for all).")] = 1.0,
    cutoff: Annotated[int | None, typer.Option(help="Layers that are truncated, from the first.")] = None,
    label: Annotated[int | None, typer.Option(help="Class, for a network that was told of classes.")] = None,
    alignment: Annotated[str | None, typer.Option(help="How its training pictures were cut, such as FFHQ.")] = None,
    boundary: Annotated[
        list[str] | None, typer.Option(metavar="NAME[:SPACE]=FILE.npy", help="A boundary that z_O moves along.")
    ] = None,
    hold: Annotated[
        list[str] | None, typer.Option(metavar="NAME[:SPACE]=FILE.npy", help="A boundary along which nothing moves.")
    ] = None,
    cleared: Annotated[
        bool, typer.Option("--cleared", help="Its training faces may be used so: it may be the default.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on where hardly any face is found.")] = False,
    json_: JsonOption = False,
) -> None:
    """Import a StyleGAN 1, 2 or 3 or a ProGAN from anybody's file; `models import SOURCE` means this.

    No code in the file is run, and none of its objects is made: what is not known is refused. StyleGAN2-ADA-PyTorch
    and StyleGAN3 pickles, rosinality's StyleGAN2, genforce's state dicts, pytorch_GAN_zoo's ProGAN, and the pickles of
    TensorFlow and Theano are read.
    """
    if source.is_dir():
        _import_folder(source, name, out, licence, provenance, look, json_)
        return
    if look:
        _look(source, network, json_)
        return
    from workers.generator.imported.model_folder import Asked

    wanted = (("name", name, "give the model a name"), ("out", out, "name the folder of models"))
    problems = [(field, f"left out; {fix}") for field, value, fix in wanted if value is None]
    asked = Asked(
        source=source,
        name=name or "left-out",
        licence=licence,
        provenance=provenance,
        network=network,
        psi=truncation,
        cutoff=cutoff,
        label=label,
        alignment=alignment,
        boundaries=named_files("boundary", boundary or []),
        held=named_files("hold", hold or []),
        cleared=cleared,
        force=force,
    )
    _import_checkpoint(asked, out or Path(), problems, json_)


def _look(source: Path, network: str | None, json_: bool) -> None:
    from workers.generator.imported.model_folder import look as looked
    from workers.generator.reading.refusals import FileRefused

    try:
        lines = looked(source, network).as_lines()
    except FileRefused as exc:
        lines = {"refused": str(exc)}
    _show(lines, json_)
    if len(lines) == 1:
        raise typer.Exit(1)


def _import_checkpoint(asked: "Asked", out: Path, problems: list[tuple[str, str]], json_: bool) -> None:
    from workers.commands.bars import bar
    from workers.generator.imported.model_folder import check_asked, import_checkpoint
    from workers.generator.network import start_torch
    from workers.matchers.detector import load_detector

    try:
        check_asked(asked)
    except RequestRefused as exc:
        raise RequestRefused([*problems, *exc.problems]) from None
    if problems:
        raise RequestRefused(problems)
    start_torch("cpu")
    detector = load_detector()

    def find(pixels: "NDArray[np.uint8]") -> "NDArray[np.float32] | None":
        face = detector.detect(pixels)
        return None if face is None else face.points

    with bar() as progress:
        tasks: dict[str, int] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        made = import_checkpoint(asked, out, find, on_progress=told)
    card, faces = made.card, made.faces
    if json_:
        about = {"folder": str(made.folder), "model": card.name, "version": card.version, "digest": card.digest}
        as_json({**about, "kind": card.kind, "faces": faces.as_card()})
        return
    typer.echo(f"{made.folder}: model {card.name} {card.version} ({card.kind}), digest {card.digest}")
    typer.echo(
        f"faces found in {faces.found} of {faces.pictures} pictures; factors: {', '.join(card.latent.observation)}"
    )
    typer.echo(f"Licence as stated: {card.licence}. {card.provenance}", err=True)
    typer.echo(f"To offer it, start the workers with FACSIMILE_WORKER__MODELS_DIR={out.absolute()}", err=True)


def _import_folder(
    source: Path,
    name: str | None,
    out: Path | None,
    licence: str | None,
    provenance: str | None,
    look: bool,
    json_: bool,
) -> None:
    from workers.generator.parametric.scans.folder import NEUTRAL, is_facekit

    if is_facekit(source):
        _import_facekit(source, name, out, licence, provenance, look, json_)
        return
    if not (source / MANIFEST).is_file():
        what = f"it has no {MANIFEST} (sdgan-web) and no {NEUTRAL} (ICT-FaceKit)"
        raise RequestRefused([("source", f"{source} is a folder of no kind that is read here: {what}")])
    if look:
        from workers.generator.sdbegan.sdgan_web import architecture_of
        from workers.generator.sdbegan.web_files import open_web_files

        architecture = architecture_of(open_web_files(source))
        lines = {
            "family": "sdbegan (sdgan-web)",
            "size": f"{architecture.resolution}×{architecture.resolution} pixels",
            "latents": f"u_I {architecture.identity}, u_O {architecture.observation}",
            "refused": "nothing",
        }
        _show(lines, json_)
        return
    if out is None:
        raise RequestRefused([("out", "left out; name the folder of models")])
    sdgan_web_command(source, out, name or "sdbegan", json_)
    if licence is not None or provenance is not None:
        from workers.generator.cards import read_card, write_card

        folder = out / (name or "sdbegan")
        card = read_card(folder)
        # What is known of these weights stays beside what their user says of them.
        said = f"{provenance} {card.provenance}" if provenance else card.provenance
        write_card(folder, card.model_copy(update={"licence": licence or card.licence, "provenance": said}))


def _import_facekit(
    source: Path,
    name: str | None,
    out: Path | None,
    licence: str | None,
    provenance: str | None,
    look: bool,
    json_: bool,
) -> None:
    from workers.commands.bars import steps
    from workers.generator.parametric.scans.importing import NAME, import_facekit, look_at

    if look:
        _show(look_at(source), json_)
        return
    if out is None:
        raise RequestRefused([("out", "left out; name the folder of models")])
    with steps() as told:
        folder, card = import_facekit(
            source, out, name or NAME, licence=licence, provenance=provenance, on_progress=told
        )
    if json_:
        as_json({"folder": str(folder), "model": card.name, "version": card.version, "digest": card.digest})
        return
    found = (card.model_extra or {})["measured"]["registration"]
    typer.echo(
        f"{folder}: model {card.name} {card.version}, digest {card.digest}; {found['registered_vertices']:,} vertices "
        f"lie on the scans, half of them within {found['distance_median_mm']:g} mm, 95% within "
        f"{found['distance_95_mm']:g} mm"
    )
    typer.echo(f"Licence as stated: {card.licence}. {card.provenance}", err=True)
    typer.echo(f"To offer it, start the workers with FACSIMILE_WORKER__MODELS_DIR={out.absolute()}", err=True)


def _show(lines: dict[str, str], json_: bool) -> None:
    if json_:
        as_json(lines)
        return
    for what, text in lines.items():
        typer.echo(f"{what:>10}: {text}")


def named_files(option: str, given: list[str]) -> dict[str, tuple[str | None, Path]]:
    """NAME[:SPACE]=FILE, each name once."""
    found: dict[str, tuple[str | None, Path]] = {}
    for text in given:
        what, equals, file = text.partition("=")
        name, colon, space = what.partition(":")
        if not equals or not file or not name or not name.replace("_", "").replace("-", "").isalnum():
            raise RequestRefused([(option, f"{text!r} is not NAME=FILE.npy or NAME:SPACE=FILE.npy")])
        if colon and space not in SPACES:
            raise RequestRefused([(option, f"{text!r}: the space is {' or '.join(SPACES)}")])
        if name in found:
            raise RequestRefused([(option, f"{name} is given twice")])
        found[name] = (space or None, Path(file))
    return found


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
