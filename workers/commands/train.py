"""`facsimile train …`: render a corpus, train a generator, export it, measure it."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from app.cli.options import JsonOption
from app.cli.output import as_json
from app.config import worker_settings
from app.errors import RequestRefused
from workers.commands.bars import bar
from workers.commands.train_method import method_command
from workers.commands.train_single import export_single, glasses_command, stylegan2_command
from workers.training.spec import Loss, Method, TrainingSpec

if TYPE_CHECKING:
    pass

train = typer.Typer(help="Render a corpus, train a generator on it, export and measure it.", no_args_is_help=True)
console = Console(stderr=True)

Folder = Annotated[Path, typer.Argument(help="Folder of the corpus.")]


class Renderer(StrEnum):
    """What renders a corpus."""

    OPENGL = "opengl"
    CYCLES = "cycles"


@train.command("corpus")
def corpus_command(
    folder: Folder,
    subjects: Annotated[int, typer.Option(min=1, help="Identities to render.")] = 8_192,
    samples_per_subject: Annotated[int, typer.Option(min=2)] = 4,
    size: Annotated[int, typer.Option(min=16, max=1024, help="Pixels a side.")] = 64,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    processes: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    renderer: Annotated[Renderer, typer.Option(help="cycles is slow and looks better.")] = Renderer.OPENGL,
    blender: Annotated[Path | None, typer.Option(help="For cycles: the Python in which bpy is installed.")] = None,
    heads: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="A model that `models import` made of ICT-FaceKit: its people's shapes."
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Render a labelled corpus on all cores; broken off, it goes on where it stopped."""
    from workers.generator.parametric.scans.heads import FILE as HEADS
    from workers.training.corpus.cycles import INSTALL, SUBJECTS_PER_PART, blender_version
    from workers.training.corpus.render import drawing_version, render_corpus
    from workers.training.corpus.store import CorpusSpec, corpus_digest

    by_cycles: dict[str, Any] = {}
    if renderer is Renderer.CYCLES:
        if blender is None:
            raise RequestRefused([("blender", f"cycles needs Blender in a Python of its own: {INSTALL}")])
        version = blender_version(blender)
        by_cycles = {"renderer": "cycles", "blender": version, "subjects_per_part": SUBJECTS_PER_PART}
    elif blender is not None:
        raise RequestRefused([("blender", "only --renderer cycles needs it")])
    spec = CorpusSpec(
        seed=seed,
        subjects=subjects,
        samples_per_subject=samples_per_subject,
        size=size,
        drawing=drawing_version(renderer.value),
        heads=None if heads is None else _digest_of_heads(heads),
        **by_cycles,
    )
    with bar() as shown:
        task = shown.add_task("parts", total=spec.parts)
        render_corpus(
            folder,
            spec,
            processes=processes,
            blender=blender,
            heads=None if heads is None else heads / HEADS,
            on_progress=lambda done, total: shown.update(task, completed=done),
        )
    digest = corpus_digest(folder)
    text = f"{folder}: {subjects * samples_per_subject:,} images, digest {digest}"
    _result(json_, text, folder=str(folder), images=subjects * samples_per_subject, digest=digest)


def _digest_of_heads(folder: Path) -> str:
    """SHA-256 of a model's heads, which must be what its card says."""
    from workers.digests import file_sha256
    from workers.generator.cards import read_card
    from workers.generator.parametric.scans.heads import FILE, load_heads

    if load_heads(folder, read_card(folder)) is None:
        raise RequestRefused(
            [("heads", f"{folder} holds no heads; make some with: facsimile models import ICT-FACEKIT")]
        )
    return file_sha256(folder / FILE)


@train.command("photographs")
def photographs_command(
    photographs: Annotated[Path, typer.Argument(help="Your photographs: a folder for each subject.")],
    packed: Annotated[Path, typer.Argument(help="Folder to pack them into.")],
    size: Annotated[int, typer.Option(help="Pixels a side: 32, 64, 128 or 256.")] = 64,
    as_is: Annotated[bool, typer.Option(help="Take square pictures as they are; do not look for faces.")] = False,
    leave_out: Annotated[bool, typer.Option(help="Leave out pictures that cannot be used, and list them.")] = False,
    json_: JsonOption = False,
) -> None:
    """Make your own photographs ready for training; broken off, it goes on where it stopped."""
    from workers.matchers.detector import load_detector
    from workers.training.packing import pack_photographs

    with bar() as shown:
        task = shown.add_task("subjects", total=None)
        spec = pack_photographs(
            photographs,
            packed,
            size=size,
            detector=None if as_is else load_detector(),
            leave_out=leave_out,
            on_progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    left_out = f", {len(spec.left_out)} left out (see {packed / 'unusable.txt'})" if spec.left_out else ""
    text = f"{packed}: {len(spec.subjects):,} subjects{left_out}"
    _result(json_, text, folder=str(packed), subjects=len(spec.subjects), left_out=len(spec.left_out))


@train.command("run")
def run_command(
    data: Annotated[Path, typer.Argument(help="A corpus of renders, or packed photographs.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoint, log, sheets.")],
    method: Annotated[Method, typer.Option()] = Method.SDGAN,
    loss: Annotated[Loss, typer.Option(help="What the judge of pairs is trained with.")] = Loss.NON_SATURATING,
    anchored: Annotated[
        bool | None, typer.Option(help="Latents mean what labels say; where there are labels, unless told otherwise.")
    ] = None,
    iterations: Annotated[int, typer.Option(min=1)] = 20_000,
    pairs: Annotated[int, typer.Option(min=2, help="Pairs a batch.")] = 8,
    base: Annotated[int, typer.Option(min=4, help="Channels at 64 × 64.")] = 40,
    anchored_iterations: Annotated[
        int, typer.Option(min=0, help="Without anchors: the first steps, learned from latents made of labels.")
    ] = 0,
    placing_iterations: Annotated[int, typer.Option(min=0, help="Steps for the landmarks alone; with labels.")] = 3_000,
    hold_landmarks: Annotated[bool, typer.Option(help="Keep the landmarks of the model that is grown from.")] = False,
    learning_rate: Annotated[float | None, typer.Option(help="2e-3 with labels, 5e-4 without.")] = None,
    adversary_weight: Annotated[float, typer.Option(min=0, help="Of the judge, beside labels.")] = 0.03,
    r1_gamma: Annotated[float | None, typer.Option(min=0, help="0.05 with labels, 1 without.")] = None,
    judge_steps: Annotated[int | None, typer.Option(min=1, help="For each of the generator's; 5 for wgan-gp.")] = None,
    identity_weight: Annotated[float, typer.Option(min=0, help="Of a matcher's opinion, beside labels.")] = 0.0,
    adversary_from: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the iterations after which the judge joins; with labels.")
    ] = 0.4,
    identity_from: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the iterations after which the matcher is asked.")
    ] = 0.0,
    repulsion_weight: Annotated[
        float, typer.Option(min=0, help="Of keeping different identities apart in a matcher's space; with --grow-from.")
    ] = 0.0,
    repulsion_margin: Annotated[float, typer.Option(help="Cosine above which strangers are too alike.")] = 0.2,
    repulsion_pairs: Annotated[int, typer.Option(min=2, help="Pairs drawn afresh for it in each step.")] = 6,
    mated_weight: Annotated[float, typer.Option(min=0, help="Of mated pairs' likeness, with repulsion.")] = 0.8,
    held_coarse: Annotated[
        float, typer.Option(min=0, help="How strongly colours and shapes are held meanwhile.")
    ] = 6.0,
    held_plain: Annotated[float, typer.Option(min=0, help="The same for all that is drawn.")] = 0.8,
    held_eyes: Annotated[float, typer.Option(min=0, help="The same for open eyes and for brows.")] = 1.0,
    warm_up: Annotated[int, typer.Option(min=1, help="Iterations over which the learning rate rises.")] = 100,
    average_halflife: Annotated[
        float, typer.Option(min=1, help="Half-life, in images, of the average of weights that is exported.")
    ] = 8_000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    bfloat16: Annotated[bool, typer.Option(help="Mixed precision: faster on GPUs and on newer processors.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    grow_from: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a model (as large or half, of these latents or others) or of a run to begin with."
        ),
    ] = None,
    begun: Annotated[
        bool, typer.Option("--begun", help="Take what there is of a corpus that is still being rendered.")
    ] = False,
    sheet_every: Annotated[int, typer.Option(min=1, help="Iterations between sample sheets.")] = 1_000,
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard's events too.")] = False,
    json_: JsonOption = False,
) -> None:
    """Train a generator; broken off, it goes on from its last checkpoint."""
    from workers.training.growth import grow_from as begin
    from workers.training.loop import CHECKPOINT
    from workers.training.loop import train as run
    from workers.training.sources import is_labelled, open_source
    from workers.training.trainer import Trainer

    labelled = is_labelled(data)
    if anchored is None:
        anchored = labelled and method is not Method.IVIGAN
    critic = loss is Loss.WGAN_GP
    try:
        spec = TrainingSpec(
            method=method,
            loss=loss,
            anchored=anchored,
            seed=seed,
            iterations=iterations,
            pairs=pairs,
            base=base,
            anchored_iterations=anchored_iterations,
            placing_iterations=placing_iterations if anchored and not hold_landmarks else 0,
            hold_landmarks=hold_landmarks,
            learning_rate=learning_rate or (2e-3 if anchored else 5e-4),
            adversary_weight=adversary_weight,
            r1_gamma=r1_gamma if r1_gamma is not None else (0.05 if anchored else 1.0),
            discriminator_steps=judge_steps or (5 if critic else 1),
            identity_weight=identity_weight,
            adversary_from=adversary_from,
            identity_from=identity_from,
            repulsion_weight=repulsion_weight,
            repulsion_margin=repulsion_margin,
            repulsion_pairs=repulsion_pairs,
            mated_weight=mated_weight,
            held_coarse=held_coarse,
            held_plain=held_plain,
            held_eyes=held_eyes,
            warm_up=warm_up,
            average_halflife_images=average_halflife,
            mixed_precision=bfloat16,
        )
    except ValidationError as exc:
        raise RequestRefused([(str(e["loc"][0]) if e["loc"] else "settings", e["msg"]) for e in exc.errors()]) from exc
    resumed = (out / CHECKPOINT).exists()
    if repulsion_weight and grow_from is None and not resumed:
        raise RequestRefused(
            [("grow_from", "repulsion is held to what a model has learned before; name its folder with --grow-from")]
        )
    trainer = Trainer(open_source(data, begun=begun), spec, device)
    if grow_from is not None and not resumed:
        grown = begin(trainer, grow_from)
        if grown.told:
            console.print(grown.told)
    with bar() as shown:
        task = shown.add_task("iterations", total=iterations)
        run(
            trainer,
            out,
            sheet_every=sheet_every,
            tensorboard=tensorboard,
            on_progress=lambda done, total, losses: shown.update(task, completed=done, description=_told(losses)),
        )
    error = trainer.held_out_error()
    text = f"{out}: {trainer.iteration:,} iterations" + ("" if error is None else f", held-out error {error:.4f}")
    _result(json_, text, folder=str(out), iterations=trainer.iteration, held_out_error=error)


train.command("stylegan2")(stylegan2_command)
train.command("glasses")(glasses_command)
train.command("method")(method_command)


def _result(json_: bool, text: str, **found: Any) -> None:
    """Write what came of a command, for people or for machines."""
    as_json(found) if json_ else typer.echo(text)


def _told(losses: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in losses.items())


@train.command("export")
def export_command(
    data: Annotated[Path, typer.Argument(help="What the run was trained on.")],
    run: Annotated[Path, typer.Option(help="Folder of the run.")],
    out: Annotated[Path, typer.Option(help="Folder of the model; its name is the model's.")],
    version: Annotated[str, typer.Option()] = "0.1.0",
    history: Annotated[str, typer.Option(help="What the settings do not tell of how it was trained.")] = "",
    json_: JsonOption = False,
) -> None:
    """Write a run's model as safetensors and card, and measure it (a few minutes)."""
    from workers.training.stylegan2.run import is_single

    if is_single(run):
        export_single(data, run, out, version, history, json_)
        return
    from workers.training.export import export
    from workers.training.loop import open_run
    from workers.training.sources import open_source

    trainer = open_run(open_source(data), run)
    with bar() as shown:
        task = shown.add_task("measured", total=None)
        card = export(
            trainer,
            out,
            name=out.name,
            version=version,
            history=history,
            on_progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    text = f"{out}: model {card.name} {card.version}, digest {card.digest}"
    _result(json_, text, folder=str(out), model=card.name, version=card.version, digest=card.digest)


@train.command("measure")
def measure_command(
    name: Annotated[str, typer.Argument(help="A model that is installed.")],
    json_: JsonOption = False,
) -> None:
    """Measure a model on fresh identities and write faces found and the uniqueness threshold into its card."""
    from workers.generator.cards import read_card, write_card
    from workers.generator.registry import load_generator, model_folders
    from workers.matchers.detector import load_detector
    from workers.matchers.sface import load_sface
    from workers.training.measure import checks_card, measure, measured_card

    settings = worker_settings()
    generator = load_generator(name, settings)
    with bar() as shown:
        task = shown.add_task("measured", total=None)
        measured = measure(
            generator,
            load_sface(),
            load_detector(),
            on_progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    folder = model_folders(settings)[name]
    update = {"checks": checks_card(measured), "measured": measured_card(measured)}
    write_card(folder, read_card(folder).model_copy(update=update))
    text = f"{folder / 'card.json'}: {measured_card(measured)}"
    _result(json_, text, card=str(folder / "card.json"), measured=measured_card(measured))


@train.command("templates")
def templates_command(
    name: Annotated[str, typer.Argument(help="A model that is installed.")],
    corpus: Annotated[Path, typer.Option(help="Folder of the corpus that it was trained on.")],
    training: Annotated[int, typer.Option(min=1, help="Identities of those trained on.")] = 2_000,
    held_out: Annotated[int, typer.Option(min=1, help="Identities of those held out, at the most.")] = 400,
    grown_from: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder of the model that it grew from: what that was trained on, too."
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Write templates of a model's training set beside its card, to measure leakage by; five minutes on one core."""
    from workers.appraisal.training_templates import choose, template_corpus, trained_on
    from workers.generator.cards import read_card, write_card
    from workers.generator.registry import model_folders
    from workers.generator.trained_on import joined, load_trained_on, save_trained_on
    from workers.matchers.registry import BUILT_IN, load_matcher
    from workers.training.corpus.portraits import first_samples
    from workers.training.corpus.store import corpus_digest, read_spec

    settings = worker_settings()
    folders = model_folders(settings)
    if name not in folders:
        raise RequestRefused([("name", f"there is no model {name!r}; there are {', '.join(folders)}")])
    before = None if grown_from is None else read_card(grown_from)
    if before is not None and before.training_templates is None:
        missing = f"{grown_from} has no templates of what it was trained on; make them first: train templates"
        raise RequestRefused([("grown_from", missing)])
    card, digest = read_card(folders[name]), corpus_digest(corpus)
    recorded = (card.model_extra or {}).get("training", {}).get("corpus", {}).get("sha256")
    if recorded not in (None, digest):
        raise RequestRefused([("corpus", f"{corpus} is not what {name} was trained on: its card has another digest")])
    subjects = read_spec(corpus).subjects
    chosen, trained = choose(subjects, training=training, held_out=held_out), trained_on(subjects)
    with bar() as shown:
        task = shown.add_task("templates", total=len(chosen))
        found = template_corpus(
            first_samples(corpus, chosen),
            [load_matcher(judge, settings) for judge in BUILT_IN],
            trained=trained,
            on_progress=lambda done: shown.update(task, completed=done),
        )
    if grown_from is not None and before is not None and before.training_templates is not None:
        found = joined(found, load_trained_on(grown_from, before))
        trained += before.training_templates.identities
        digest += f"+{before.training_templates.corpus_sha256}"
    about = save_trained_on(folders[name], found, identities=trained, corpus=digest)
    write_card(folders[name], card.model_copy(update={"training_templates": about}))
    path = folders[name] / about.file
    text = f"{path}: {about.templates:,} of {trained:,} identities, digest {about.sha256}"
    _result(json_, text, file=str(path), templates=about.templates, identities=trained, digest=about.sha256)
