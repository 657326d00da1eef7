"""`facsimile train stylegan2`, `facsimile train glasses`: what learns from single images."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app.cli.options import JsonOption
from app.cli.output import as_json
from app.errors import RequestRefused
from workers.commands.bars import bar


def stylegan2_command(
    data: Annotated[Path, typer.Argument(help="A corpus of renders, or packed photographs.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoint, log, sheets.")],
    size: Annotated[int, typer.Option(help="Pixels a side: a power of two that divides the images'.")] = 64,
    iterations: Annotated[int, typer.Option(min=1)] = 20_000,
    anchored_iterations: Annotated[
        int, typer.Option(min=0, help="The first steps, in which renders are learned from their own latents.")
    ] = 0,
    batch: Annotated[int, typer.Option(min=2, help="Images a step.")] = 32,
    latent: Annotated[int, typer.Option(min=4, help="Dimensions of z and w.")] = 128,
    base: Annotated[int, typer.Option(min=4, help="Channels at the finest resolution.")] = 48,
    most: Annotated[int, typer.Option(min=4, help="Channels at the coarsest.")] = 256,
    learning_rate: Annotated[float, typer.Option(min=1e-6)] = 2.5e-3,
    r1_gamma: Annotated[float, typer.Option(min=0, help="Weight of R1; more where it trembles.")] = 0.3,
    augmentation: Annotated[float, typer.Option(min=0, max=1, help="Share of images moved and relit.")] = 0.5,
    average_halflife: Annotated[float, typer.Option(min=1, help="Half-life, in images, of what is exported.")] = 8_000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    bfloat16: Annotated[bool, typer.Option(help="Many times faster on processors that have it.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Of the processor.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    sheet_every: Annotated[int, typer.Option(min=1, help="Iterations between sample sheets.")] = 1_000,
    json_: JsonOption = False,
) -> None:
    """Train a small StyleGAN2 on single images; broken off, it goes on from its last checkpoint.

    It is a generator that knows nothing of identities, as those are that users bring. `train export` makes a model of
    it, and `models directions` finds what may vary between images of one person.
    """
    import torch

    from workers.training.stylegan2.pictures import Pictures
    from workers.training.stylegan2.run import train
    from workers.training.stylegan2.spec import StyleGan2Spec
    from workers.training.stylegan2.trainer import StyleGan2Trainer

    try:
        spec = StyleGan2Spec(
            seed=seed,
            iterations=iterations,
            anchored_iterations=anchored_iterations,
            batch=batch,
            size=size,
            latent=latent,
            base=base,
            most=most,
            learning_rate=learning_rate,
            r1_gamma=r1_gamma,
            augmentation=augmentation,
            average_halflife_images=average_halflife,
            mixed_precision=bfloat16,
        )
    except ValidationError as exc:
        raise RequestRefused([(str(e["loc"][0]) if e["loc"] else "settings", e["msg"]) for e in exc.errors()]) from exc
    torch.set_num_threads(threads)
    trainer = StyleGan2Trainer(Pictures(data, spec.size), spec, device)
    with bar() as shown:
        task = shown.add_task("iterations", total=iterations)

        def told(done: int, total: int, losses: dict[str, float]) -> None:
            text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            shown.update(task, completed=done, total=total, description=text)

        train(trainer, out, sheet_every=sheet_every, on_progress=told)
    _result(json_, f"{out}: {trainer.iteration:,} iterations", folder=str(out), iterations=trainer.iteration)


def export_single(data: Path, run: Path, out: Path, version: str, history: str, json_: bool) -> None:
    """Export a run that trained a StyleGAN2; raises Corrupt."""
    from workers.training.stylegan2.export import export_stylegan2
    from workers.training.stylegan2.run import open_run

    trainer = open_run(data, run)
    with bar() as shown:
        task = shown.add_task("measured", total=None)
        card = export_stylegan2(
            trainer,
            out,
            name=out.name,
            version=version,
            history=history,
            on_progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    text = f"{out}: model {card.name} {card.version}, digest {card.digest}"
    _result(json_, text, folder=str(out), model=card.name, version=card.version, digest=card.digest)


def glasses_command(
    corpus: Annotated[Path, typer.Argument(help="Folder of a corpus of renders.")],
    out: Annotated[Path, typer.Option(help="File to write, safetensors.")],
    json_: JsonOption = False,
) -> None:
    """Fit the scorer of glasses that `models directions` reads pictures with; two minutes on one core."""
    from workers.matchers.detector import load_detector
    from workers.training.corpus.store import corpus_digest
    from workers.training.data import Corpus
    from workers.training.glasses_scorer import fit_scorer, save_scorer

    with bar() as shown:
        task = shown.add_task("renders", total=None)
        fitted = fit_scorer(
            Corpus(corpus),
            load_detector(),
            on_progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    save_scorer(out, fitted, corpus_digest(corpus))
    text = f"{out}: right on {fitted.accuracy:.1%} of {fitted.judged:,} renders of other subjects"
    _result(json_, text, file=str(out), accuracy=fitted.accuracy, judged=fitted.judged)


def _result(json_: bool, text: str, **found: Any) -> None:
    as_json(found) if json_ else typer.echo(text)
