"""From a run to a model folder: the averaged generator as safetensors, principal axes of its w, and its card."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.dataset.model import ModelCard
from workers.generator.cards import check_name, write_card
from workers.generator.draw import draw_identity
from workers.generator.editing.directions import factors_of, save_directions
from workers.generator.imported.generator import Imported, sizes_of
from workers.generator.imported.survey import SAMPLED, SEED, principal_axes, see_faces, spread_of_w
from workers.generator.stylegan2 import FAMILY
from workers.generator.weights import save_model
from workers.images import to_pixels
from workers.matchers.detector import load_detector
from workers.matchers.sface import load_sface
from workers.training.export import PHOTOGRAPHS, RENDERS
from workers.training.measure import checks_card, measure, measured_card
from workers.training.stylegan2.trainer import StyleGan2Trainer

PICTURES = 100
"""In which faces are looked for."""

OnProgress = Callable[[int, int], None]


def export_stylegan2(
    trainer: StyleGan2Trainer,
    folder: Path,
    *,
    name: str,
    version: str,
    history: str = "",
    psi: float = 0.7,
    on_progress: OnProgress = lambda done, total: None,
) -> ModelCard:
    """Write weights (float16) and card of a run's averaged generator, and measure what it gives.

    Its factors are the principal axes of w until `facsimile models directions` finds better ones. Raises RequestRefused
    for a name that no model can have, before anything is measured.
    """
    check_name("out", name)
    network, spec, size = trainer.average.cpu().eval(), trainer.spec, trainer.spec.size
    corpus = trainer.pictures.card()
    photographs = corpus.get("kind") == "photographs"
    spread = spread_of_w(network, None, count=SAMPLED)
    directions = principal_axes(spread, "W", psi)
    folder.mkdir(parents=True, exist_ok=True)
    card: dict[str, Any] = {
        "name": name,
        "version": version,
        "kind": FAMILY.kind,
        "description": f"StyleGAN2 of {'photographs' if photographs else 'a parametric head'}, {size}×{size} pixels: "
        "a generator of single faces, which learned nothing of who is who.",
        "sizes": sizes_of(size),
        "latent": {"identity": network.latent, "observation": factors_of(directions, noise=True)},
        "licence": "the user's own" if photographs else "Apache-2.0",
        "provenance": PHOTOGRAPHS.format(subjects=corpus["subjects"]) if photographs else RENDERS,
        "architecture": asdict(network.architecture),
        "parameters": sum(value.numel() for value in network.parameters()),
        "truncation": {"psi": psi, "cutoff": None},
        "directions": save_directions(folder, directions),
        "training": {
            "method": spec.method,
            "iterations": trainer.iteration,
            "images": trainer.iteration * spec.batch,
            "settings": spec.model_dump(mode="json"),
            "corpus": corpus,
            "history": history,
            "exported": datetime.now(UTC).date().isoformat(),
        },
    }
    save_model(folder, card, network.state_dict(), torch.float16)
    generator = FAMILY.load(folder, "cpu")
    if not isinstance(generator, Imported):
        raise AssertionError("a StyleGAN2 is loaded as what it is")
    seen = _faces(generator)
    measured = measure(generator, load_sface(), load_detector(), on_progress=on_progress)
    update = {
        "alignment": {"stated": "as the training images are framed", "seen": seen},
        "checks": checks_card(measured),
        "measured": measured_card(measured),
    }
    full = ModelCard.model_validate({**generator.card.model_dump(mode="json"), **update})
    write_card(folder, full)
    return full


def _faces(generator: Imported) -> dict[str, Any]:
    side, detector = generator.card.sizes[0][0], load_detector()

    def paint(numbers: Sequence[int]) -> NDArray[np.uint8]:
        who = np.stack([draw_identity(SEED, number, 1, generator.card.latent.identity) for number in numbers])
        still = np.zeros((len(who), generator.card.latent.observation_size), np.float32)
        return to_pixels(generator.generate(who, still, side, side))

    def find(pixels: NDArray[np.uint8]) -> Any:
        face = detector.detect(pixels)
        return None if face is None else face.points

    return see_faces(paint, find, PICTURES).as_card()
