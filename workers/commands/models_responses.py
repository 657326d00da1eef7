"""`facsimile models responses`: what a model's latents do to the quantities of a profile."""

from typing import Annotated

import typer

from app.cli.bars import Bars
from app.cli.options import JsonOption
from app.cli.output import as_json, table
from app.config import worker_settings


def responses_command(
    name: Annotated[str, typer.Argument(help="A model that is installed.")],
    keep: Annotated[bool, typer.Option(help="Write them into the model's card, so that sets follow profiles.")] = False,
    json_: JsonOption = False,
) -> None:
    """Measure how a model's latents move what profiles tell of: pose, light, expression, skin, capture.

    Requests with a profile ('like') are mapped by it. Some 500 images are made and looked at.
    """
    from workers.generator.cards import read_card, write_card
    from workers.generator.registry import load_generator, model_folders
    from workers.matchers.detector import load_detector
    from workers.profile.responses import measure_responses

    settings = worker_settings()
    generator = load_generator(name, settings)
    with Bars() as bars:
        found = measure_responses(
            generator, load_detector(), lambda done, total: bars.amount("looking at images", done, total)
        )
    if keep:
        folder = model_folders(settings)[name]
        write_card(folder, read_card(folder).model_copy(update={"responses": found}))
    if json_:
        as_json(found.model_dump(mode="json"))
        return
    table(
        ["quantity", "latent", "at ±2.5 of it", "deviation of all else"],
        [
            [quantity, one.name, f"{one.values[0]:.4g} … {one.values[-1]:.4g}", f"{one.others:.3g}"]
            for quantity, one in found.quantities.items()
        ],
    )
