"""From a training run to a model folder: the averaged generator as safetensors, and its card."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.dataset.model import ModelCard
from workers.generator import latents as lt
from workers.generator.cards import write_card
from workers.generator.network import GeneratorNetwork
from workers.generator.sdgan import KIND, load_sdgan
from workers.generator.weights import save_model
from workers.training.loop import Trainer
from workers.training.measure import checks_card, measure, measured_card

HONOURED = ("sex", "age", "skin_tone")
"""Attributes that learned models show. Glasses they do not: a request for them must be refused, not ignored."""

PROVENANCE = (
    "Trained on renders of a parametric head (MakeHuman's CC0 base mesh and morph targets, all else by formula). "
    "No photograph of a real person was used."
)


def export(
    trainer: Trainer,
    folder: Path,
    *,
    name: str,
    version: str,
    corpus: dict[str, Any],
    history: str = "",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ModelCard:
    """Write weights and card of a run's averaged generator, measure what it gives, and write that into the card.

    `corpus` says what it was trained on (its settings and digest), `history` what the settings do not tell of how.
    """
    network: GeneratorNetwork = trainer.average
    architecture = network.architecture
    size = architecture.resolution
    card: dict[str, Any] = {
        "name": name,
        "version": version,
        "kind": KIND,
        "description": f"SD-GAN over a parametric head, {size}×{size} pixels: fast, softer than the renderer.",
        "sizes": [[size, size]],
        "latent": {"identity": lt.IDENTITY, "observation": lt.FACTORS},
        "attributes": {name: lt.ATTRIBUTES[name] for name in HONOURED},
        "licence": "Apache-2.0",
        "provenance": PROVENANCE,
        "architecture": asdict(architecture),
        "parameters": sum(value.numel() for value in network.parameters()),
        "training": {
            "method": "sdgan, labels anchored",
            "iterations": trainer.iteration,
            "images": trainer.iteration * 2 * trainer.spec.pairs,
            "held_out_error": round(trainer.held_out_error(1_024), 4),
            "settings": trainer.spec.model_dump(),
            "corpus": corpus,
            "history": history,
            "exported": datetime.now(UTC).date().isoformat(),
        },
    }
    save_model(folder, card, network.state_dict())
    (folder / "weights.safetensors").chmod(0o644)  # written for its owner alone
    generator = load_sdgan(folder, "cpu")
    measured = measure(generator, on_progress=on_progress)
    full = generator.card.model_copy(update={"checks": checks_card(measured), "measured": measured_card(measured)})
    write_card(folder, full)
    return full
