"""From a training run to a model folder: the averaged generator as safetensors, and its card."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.dataset.model import ModelCard, ShareAttribute
from workers.generator import latents as lt
from workers.generator.cards import check_name, write_card
from workers.generator.parametric.scans.importing import CREDIT
from workers.generator.sdgan import FAMILY
from workers.generator.sdgan.generator import load_sdgan
from workers.generator.weights import save_model
from workers.matchers.detector import load_detector
from workers.matchers.sface import SFace, load_sface
from workers.training.data import Corpus
from workers.training.glasses import glasses_seen
from workers.training.measure import checks_card, measure, measured_card
from workers.training.trainer import Trainer

HONOURED = ("sex", "age", "skin_tone")
"""Attributes that every model of labelled renders shows. Whether it shows glasses is looked at: a request for
what a model cannot do must be refused, not ignored."""

SMALLEST = 64
"""Larger models are offered at half their size as well, down to this."""

RENDERS = (
    "Trained on renders of a parametric head (MakeHuman's CC0 base mesh and morph targets, all else by formula). "
    "No photograph of a real person was used."
)
PHOTOGRAPHS = (
    "Trained on the user's own photographs of {subjects:,} people. The faces it makes may resemble theirs: whether "
    "they consented, and what may be done with its images, is for the user to know."
)
MATCHER_USED = f" A loss asked the matcher {SFace.name}, itself trained on photographs, for its opinion."


def export(
    trainer: Trainer,
    folder: Path,
    *,
    name: str,
    version: str,
    history: str = "",
    licence: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ModelCard:
    """Write weights and card of a run's averaged generator, measure what it gives, and write that into the card.

    `history` says what the settings do not tell of how it was trained. Glasses are offered as an attribute where a
    classifier sees them as asked. `licence` may be given for a model of renders. Raises RequestRefused for a name that
    no model can have, before anything is measured.
    """
    check_name("out", name)
    network, spec, layout = trainer.average, trainer.spec, trainer.layout
    size = network.architecture.resolution
    photographs = layout.colours == 3
    subjects = trainer.source.held_out_from
    error = trainer.held_out_error(1_024)
    offered = lt.attributes(layout.meaning or lt.CURRENT)
    card: dict[str, Any] = {
        "name": name,
        "version": version,
        "kind": FAMILY.kind,
        "drawing": FAMILY.drawing,
        "description": f"SD-GAN of {'photographs' if photographs else 'a parametric head'}, {size}×{size} pixels.",
        "sizes": [[size, size], *([[size // 2] * 2] if size > SMALLEST else [])],
        "latent": {
            "identity": layout.identity,
            "observation": layout.factors,
            "layout": layout.meaning.version if layout.meaning else None,
        },
        "attributes": {name: offered[name] for name in HONOURED} if layout.meaning else {},
        "licence": licence or ("the user's own" if photographs else "Apache-2.0"),
        "provenance": provenance(trainer.source.card(), subjects, embedded=spec.embedded),
        "architecture": asdict(network.architecture),
        "parameters": sum(value.numel() for value in network.parameters()),
        "training": {
            "method": spec.method.value + (", labels anchored" if layout.anchored else ""),
            "iterations": trainer.iteration,
            "images": trainer.iteration * spec.images,
            "held_out_error": None if error is None else round(error, 4),
            "settings": spec.model_dump(mode="json"),
            "corpus": trainer.source.card(),
            "history": history,
            "exported": datetime.now(UTC).date().isoformat(),
        },
    }
    save_model(folder, card, network.state_dict())
    generator = load_sdgan(folder, "cpu")
    measured = measure(generator, load_sface(), load_detector(), on_progress=on_progress)
    figures = measured_card(measured)
    attributes = dict(generator.card.attributes)
    if layout.anchored and isinstance(trainer.source, Corpus):
        seen = glasses_seen(generator, trainer.source, on_progress=on_progress)
        figures["glasses"] = asdict(seen)
        if seen.enough:
            attributes["glasses"] = ShareAttribute.model_validate(offered["glasses"])
    update = {"checks": checks_card(measured), "measured": figures, "attributes": attributes}
    full = generator.card.model_copy(update=update)
    write_card(folder, full)
    return full


def provenance(source: dict[str, Any], subjects: int, *, embedded: bool) -> str:
    """Whose faces a model learned from, by what its source says of itself (`Source.card`)."""
    own = PHOTOGRAPHS.format(subjects=subjects) if source.get("kind") == "photographs" else RENDERS
    scans = f" {CREDIT}" if source.get("heads") else ""
    return own + scans + (MATCHER_USED if embedded else "")
