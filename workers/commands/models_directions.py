"""`facsimile models directions`: an imported model's observation factors, found by looking at its pictures."""

from typing import Annotated

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json, table
from app.config import worker_settings
from app.errors import RequestRefused
from workers.commands.bars import steps


def directions_command(
    name: Annotated[str, typer.Argument(help="An imported model that is installed.")],
    samples: Annotated[int, typer.Option(min=100, help="Identities whose pictures are scored.")] = 1_000,
    bases: Annotated[int, typer.Option(min=8, help="Identities on which every direction is measured.")] = 24,
    hold: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE.npy", help="A boundary along which nothing moves.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Write them into the model: its factors, and its digest.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Find what z_O may move: pose, light, mouth by boundaries, and directions that keep the person.

    A direction goes as far as nine pictures in ten still show a face, and the same person to the filter network. With
    --keep the model's factors are these, and it is another model: its digest changes.
    """
    from workers.appraisal.directions import Space, find_directions, look_with
    from workers.appraisal.scorers import scorers
    from workers.commands.importing import named_files
    from workers.generator.editing.boundaries import read_boundary
    from workers.generator.editing.directions import NOISE_DIMENSIONS
    from workers.generator.imported.generator import Imported
    from workers.generator.registry import load_generator, model_folders
    from workers.matchers.sface import load_sface

    settings = worker_settings()
    generator = load_generator(name, settings)
    if not isinstance(generator, Imported):
        raise RequestRefused([("name", f"{name} is no imported model; its factors are its own")])
    network, matcher = generator.network, load_sface()
    mapped = network.average is not None
    space = Space(
        name="W" if mapped else "Z",
        layers=network.layers,
        width=network.width,
        latent=network.latent,
        noise=NOISE_DIMENSIONS if network.noise_sizes else 0,
        size=network.resolution,
    )
    held = [read_boundary(path, space.width, space.name) for _, path in named_files("hold", hold or []).values()]

    with steps() as told:
        found = find_directions(
            generator.without_directions(),
            space,
            scorers(),
            look_with(matcher),
            samples=samples,
            bases=bases,
            held=held,
            on_progress=told,
        )
    if keep:
        from workers.generator.imported.model_folder import replace_directions

        if not found.directions:
            raise RequestRefused([("keep", "no direction was found; the model is left as it is")])
        card = replace_directions(model_folders(settings)[name], list(found.directions), noise=bool(space.noise))
        typer.echo(
            f"{name} {card.version}: factors {', '.join(card.latent.observation)}, digest {card.digest}", err=True
        )
    if json_:
        listed = [
            {
                "name": one.name,
                "factor": one.factor,
                "unit": one.unit,
                "limit": one.limit,
                "measured": dict(one.measured),
            }
            for one in found.directions
        ]
        as_json(
            {"directions": listed, "left_out": dict(found.left_out), "pictures": found.pictures, "faces": found.faces}
        )
        return
    rows = [
        [
            one.factor,
            one.name,
            f"{one.measured.get('held_out_accuracy', '')}",
            f"{one.limit:.3g}",
            *(str(one.measured["tried"][0][what]) for what in ("face_found", "same_person", "score")),
        ]
        for one in found.directions
    ]
    if rows:
        table(
            ["factor", "direction", "held-out accuracy", "limit", "faces near", "same person near", "score near"], rows
        )
    for what, why in found.left_out.items():
        typer.echo(f"{what}: left out ({why})")
