"""`facsimile models identities`: what an imported model's z_I means: attributes, and people kept apart."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json
from app.config import worker_settings
from app.errors import RequestRefused
from workers.commands.bars import steps

if TYPE_CHECKING:
    from workers.appraisal.identities import Wanted

TWO_VALUED = ("sex", "skin_tone")
SHARES = ("glasses",)


def identities_command(
    name: Annotated[str, typer.Argument(help="An imported model that is installed.")],
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SCORER[:BELOW,ABOVE]", help="An attribute by a score's sign: sex=my-scorer:female,male."
        ),
    ] = None,
    apart: Annotated[bool, typer.Option("--apart", help="Move identities apart, 256 subjects at a time.")] = False,
    samples: Annotated[int, typer.Option(min=100, help="Identities whose portraits are looked at.")] = 1_000,
    keep: Annotated[bool, typer.Option("--keep", help="Write it into the model; its digest changes.")] = False,
    json_: JsonOption = False,
) -> None:
    """Give z_I a meaning: attributes that requests can ask for, and repulsion between people.

    An attribute becomes one latent of z_I, N(0, 1), in which what is asked for is a slice: sets meet it in count, and
    the card says how often the scorer agrees. With --apart identities are moved away from those whom they are predicted
    to resemble; how much that helps is told by both networks, of which dlib's had no say.
    """
    from workers.appraisal.directions import look_with
    from workers.appraisal.identities import find_identities
    from workers.generator.editing.apart import mapping_of
    from workers.generator.editing.identities import Identities
    from workers.generator.imported.generator import Imported
    from workers.generator.registry import load_generator, model_folders
    from workers.images import to_pixels
    from workers.matchers.dlib_resnet import load_dlib_resnet
    from workers.matchers.sface import load_sface

    settings = worker_settings()
    wanted = _wanted(attribute or [])
    if not (wanted or apart):
        raise RequestRefused([("attribute", "nothing is asked for; give --attribute NAME=SCORER, --apart, or both")])
    generator = load_generator(name, settings)
    if not isinstance(generator, Imported):
        raise RequestRefused([("name", f"{name} is no imported model; its identities are its own")])
    network: Any = generator.network
    plain = generator.with_identities(Identities())
    label = (generator.card.model_extra or {}).get("label")
    still = generator.card.latent.observation_size
    sface, dlib = load_sface(), load_dlib_resnet()

    def portraits(z: Any) -> Any:
        import numpy as np

        return to_pixels(plain.generate(z, np.zeros((len(z), still), np.float32), *generator.card.sizes[0]))

    with steps() as told:
        found = find_identities(
            portraits,
            mapping_of(network, label, network.labels),
            network.latent,
            wanted,
            look_with(sface),
            {sface.name: sface.extract, dlib.name: dlib.extract},
            samples=samples,
            apart=apart,
            on_progress=told,
        )
    if keep:
        from workers.generator.imported.model_folder import replace_identities

        card = replace_identities(model_folders(settings)[name], found.identities, found.attributes, found.about)
        typer.echo(f"{name} {card.version}: digest {card.digest}", err=True)
    if json_:
        as_json({"attributes": found.attributes, **found.about})
        return
    for what, entry in found.attributes.items():
        told_of = entry["measured"]
        typer.echo(
            f"{what}: held-out accuracy {told_of['held_out_accuracy']}; of {told_of['drawn']} conditioned draws the "
            f"scorer agrees in {told_of['as_asked_above']:.1%} above, {told_of['as_asked_below']:.1%} below"
        )
    measured = found.about.get("apart", {}).get("measured", {})
    if measured:
        typer.echo(
            f"apart: faces found in {measured['faces_before']} of {measured['identities']} before, "
            f"{measured['faces_after']} after; cosines of predictions and of templates correlate by "
            f"{found.about['likeness']['correlation']}"
        )
    for judge, one in measured.items():
        if isinstance(one, dict):
            typer.echo(
                f"{judge}: cosine with the nearest other {one['nearest_before']} before, {one['nearest_after']} after; "
                f"pairs above what 1 in 1,000 were: {one['share_above_after']:.4%}"
            )


def _wanted(texts: Sequence[str]) -> "list[Wanted]":
    from workers.appraisal.identities import Wanted
    from workers.appraisal.scorers import scorers

    known, problems = scorers(), []
    found: list[Wanted] = []
    for text in texts:
        name, equals, rest = text.partition("=")
        scorer, colon, values = rest.partition(":")
        named = tuple(values.split(","))
        if not equals or name not in (*SHARES, *TWO_VALUED):
            problems.append(f"{text!r}: attributes that requests know are {', '.join((*SHARES, *TWO_VALUED))}")
        elif scorer not in known:
            problems.append(f"there is no scorer {scorer!r}; there are {', '.join(known)}")
        elif (name in TWO_VALUED) != bool(colon) or (colon and (len(set(named)) != 2 or not all(named))):
            how = "two names, BELOW,ABOVE" if name in TWO_VALUED else "no names"
            problems.append(f"{text!r}: {name} takes {how}")
        elif any(one.name == name for one in found):
            problems.append(f"{name} is given twice")
        else:
            pair = (named[0], named[1]) if colon else None
            found.append(Wanted(name=name, scorer=known[scorer], values=pair))
    if problems:
        raise RequestRefused([("attribute", problem) for problem in problems])
    return found
