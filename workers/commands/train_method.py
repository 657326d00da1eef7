"""`facsimile train method …`: a method that studies compare, from nothing to a model by one command."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.options import JsonOption
from app.cli.output import as_json
from workers.commands.bars import bar
from workers.training.recipes import SAMPLES, SIZE, SUBJECTS, Compared, recipe


def method_command(
    method: Annotated[Compared, typer.Argument(help="Which one.")],
    out: Annotated[Path, typer.Option(help="Folder of the model; its name is the model's.")],
    work: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the corpus, which methods share, and of the runs.")
    ] = Path("methods"),
    subjects: Annotated[int, typer.Option(min=4, help="Identities of the corpus.")] = SUBJECTS,
    iterations: Annotated[int | None, typer.Option(min=2, help="Steps; left out, the method's own.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    bfloat16: Annotated[bool, typer.Option(help="Faster on GPUs and on processors that have it.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Of the processor, in training.")] = 1,
    processes: Annotated[int, typer.Option(min=1, help="That render the corpus.")] = os.cpu_count() or 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    json_: JsonOption = False,
) -> None:
    """Render a corpus, train a method on it and export the model; broken off, it goes on where it stopped.

    So that `facsimile study` can compare methods that learned from the same people. A StyleGAN2 gets its factors by
    `models directions` afterwards.
    """
    import torch

    from workers.generator.cards import check_name
    from workers.training.corpus.render import drawing_version, render_corpus
    from workers.training.corpus.store import CorpusSpec
    from workers.training.export import export
    from workers.training.loop import train
    from workers.training.sources import open_source
    from workers.training.stylegan2.export import export_stylegan2
    from workers.training.stylegan2.pictures import Pictures
    from workers.training.stylegan2.run import train as train_stylegan2
    from workers.training.stylegan2.spec import StyleGan2Spec
    from workers.training.stylegan2.trainer import StyleGan2Trainer
    from workers.training.trainer import Trainer

    check_name("out", out.name)
    spec = recipe(method, iterations=iterations, seed=seed, mixed_precision=bfloat16)
    data, folder = work / "corpus", work / method.value
    corpus = CorpusSpec(
        seed=seed, subjects=subjects, samples_per_subject=SAMPLES, size=SIZE, drawing=drawing_version("opengl")
    )
    with bar() as shown:
        rendering = shown.add_task("corpus", total=corpus.parts)
        render_corpus(
            data, corpus, processes=processes, on_progress=lambda done, _: shown.update(rendering, completed=done)
        )
        training = shown.add_task("iterations", total=spec.iterations)
        measuring = shown.add_task("measured", total=None)

        def trained(done: int, total: int, losses: dict[str, float]) -> None:
            told = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            shown.update(training, completed=done, total=total, description=told)

        def measured(done: int, total: int) -> None:
            shown.update(measuring, completed=done, total=total)

        torch.set_num_threads(threads)
        how: dict[str, Any] = {"name": out.name, "version": "0.1.0", "on_progress": measured}
        if isinstance(spec, StyleGan2Spec):
            single = StyleGan2Trainer(Pictures(data, spec.size), spec, device)
            train_stylegan2(single, folder, on_progress=trained)
            card = export_stylegan2(single, out, **how)
        else:
            trainer = Trainer(open_source(data), spec, device)
            train(trainer, folder, on_progress=trained)
            card = export(trainer, out, **how)
    faces = (card.model_extra or {})["measured"]["face_found_sigma_1"]
    if json_:
        as_json({"folder": str(out), "model": card.name, "digest": card.digest, "face_found_sigma_1": faces})
        return
    typer.echo(f"{out}: model {card.name}, digest {card.digest}; a face found in {faces:.1%} of samples at σ = 1")
