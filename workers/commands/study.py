"""`facsimile study`: methods of making mated images beside each other, in one page."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json
from app.config import WorkerSettings, worker_settings
from app.errors import RequestRefused
from workers.commands.bars import steps

if TYPE_CHECKING:
    from workers.matchers.base import Matcher
    from workers.study.run import Studied


def study(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Folder of the study; repeated, it goes on.")],
    model: Annotated[
        list[str] | None, typer.Option(help="A model that is installed; may be repeated. Left out, all are compared.")
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Real photographs to compare with, a folder for each subject; may be given again."),
    ] = None,
    subjects: Annotated[int, typer.Option(min=4, help="Subjects of each method, at each σ.")] = 100,
    samples: Annotated[int, typer.Option(min=2, help="Samples of each.")] = 4,
    distractors: Annotated[int, typer.Option(min=0, help="Further identities of each method, in galleries.")] = 400,
    sigma: Annotated[
        list[float] | None, typer.Option(min=0, max=4, help="A setting of σ beside 1; may be repeated.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Compare methods: score distributions, DETs over σ, look-alikes, distractors, whether a better matcher is seen.

    It takes about an eighth of a second a sample and core; each method at each σ is kept, so that a study that was
    broken off goes on. study.html is the page, data.json its figures.
    """
    from app.dataset.report import MatcherFacts
    from workers.appraisal.real import read_real_faces
    from workers.generator.network import start_torch
    from workers.matchers.base import NetworkMatcher
    from workers.matchers.detector import load_detector
    from workers.matchers.registry import BUILT_IN, load_matcher
    from workers.matchers.sface import SFace
    from workers.study.collect import Coarse
    from workers.study.run import DATA, PAGE, Studied, run_study
    from workers.study.spec import Method

    settings = worker_settings()
    start_torch("cpu" if settings.device == "cpu" else settings.device)
    detector = load_detector()
    # The network that had no say in any model comes first: headlines are its.
    own = sorted((load_matcher(name, settings) for name in BUILT_IN), key=lambda one: one.name == SFace.name)
    matchers: list[Matcher] = [*own, *(Coarse(one) for one in own[-1:] if isinstance(one, NetworkMatcher))]
    facts = [
        MatcherFacts(
            name=one.name,
            version=one.version,
            digest=one.digest,
            dimensions=one.dimensions,
            score=one.score.formula,
            provenance=one.provenance,
            independent=not one.name.startswith(SFace.name),
        )
        for one in matchers
    ]
    studied = _models(model, settings)
    folders = against or []
    names = [one.method.name for one in studied] + [path.name for path in folders]
    if len(set(names)) < len(names):
        raise RequestRefused([("against", "two methods have the same name, by which the page calls them; rename one")])
    with steps() as told:
        for path in folders:
            faces = read_real_faces(path, matchers, detector=detector, on_progress=partial(told, path.name))
            method = Method(
                name=path.name,
                version="",
                kind="photographs",
                digest="",
                licence="the user's own",
                provenance=f"Photographs of {faces.subjects} people; none is shown or kept here.",
            )
            studied.append(Studied(method=method, photographs=faces, trained_on={}))
        found = run_study(
            folder,
            studied,
            matchers,
            facts,
            detector,
            subjects=subjects,
            samples=samples,
            distractors=distractors,
            sigmas=sigma or [0.5, 1.0, 1.5],
            on_progress=told,
        )
    if json_:
        as_json(
            {
                "page": str(folder / PAGE),
                "data": str(folder / DATA),
                "methods": [one.method.name for one in found.methods],
            }
        )
        return
    typer.echo(f"{folder / PAGE}: {', '.join(one.method.name for one in found.methods)}; figures in {folder / DATA}")


def _models(wanted: Sequence[str] | None, settings: WorkerSettings) -> "list[Studied]":
    from workers.generator.registry import load_generator, model_card, model_folders
    from workers.generator.trained_on import load_trained_on
    from workers.report.faults import method_of
    from workers.study.run import Studied
    from workers.study.spec import Method

    folders = model_folders(settings)
    if unknown := [name for name in wanted or () if name not in folders]:
        raise RequestRefused([("model", f"there is no model {unknown[0]!r}; there are {', '.join(folders)}")])
    found = []
    for name in dict.fromkeys(wanted or folders):
        card = model_card(folders[name])
        found.append(
            Studied(
                method=Method(
                    name=name,
                    version=card.version,
                    kind=card.kind,
                    digest=card.digest,
                    licence=card.licence,
                    provenance=card.provenance,
                ),
                load=partial(load_generator, name, settings),
                trained_on=load_trained_on(folders[name], card),
                training=method_of(card),
            )
        )
    return found
