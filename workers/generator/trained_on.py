"""What a model was trained on, as templates: a small safetensors file beside its card, for measuring leakage.

For each matcher two tables: identities that were trained on, and identities of the same corpus that were held out.
Templates are float16 (rounding moves a cosine by about 1e-5), subjects are numbers of the corpus, so that no subject
is in both; those of a model that it grew from follow, with numbers beyond its own. Which weights made the templates
stands in the file: templates of others cannot be compared with them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from app.dataset.model import ModelCard, TrainingTemplatesCard
from app.errors import Corrupt
from workers.digests import file_sha256

FILE = "training-templates.safetensors"

MAX_BYTES = 64 * 1024 * 1024
"""A file larger than this is refused before it is opened."""

SETS = ("training", "held_out")


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplatesOf:
    """One matcher's templates of N identities of a corpus, one each; those without a template are left out."""

    templates: NDArray[np.float32]
    """[N, D]"""
    subjects: NDArray[np.int64]
    """[N] numbers in the corpus."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedOn:
    """One matcher's templates of a model's training corpus."""

    matcher_digest: str
    training: TemplatesOf
    held_out: TemplatesOf


def joined(own: dict[str, TrainedOn], inherited: dict[str, TrainedOn]) -> dict[str, TrainedOn]:
    """Templates of a corpus and those of the model that a run grew from, by matcher, subjects renumbered apart.

    Raises Corrupt where the two are not by the same matchers with the same weights.
    """
    digests = [{name: one.matcher_digest for name, one in side.items()} for side in (own, inherited)]
    if digests[0] != digests[1]:
        told = " and ".join(", ".join(f"{name} {value[:8]}" for name, value in sorted(d.items())) for d in digests)
        raise Corrupt(f"templates by different matchers cannot lie in one file: {told}")
    numbers = [int(getattr(one, part).subjects.max(initial=-1)) for one in own.values() for part in SETS]
    above = 1 + max(numbers, default=-1)

    def both(mine: TemplatesOf, theirs: TemplatesOf) -> TemplatesOf:
        return TemplatesOf(
            templates=np.concatenate([mine.templates, theirs.templates]),
            subjects=np.concatenate([mine.subjects, theirs.subjects + above]),
        )

    return {
        name: TrainedOn(
            matcher_digest=one.matcher_digest,
            training=both(one.training, inherited[name].training),
            held_out=both(one.held_out, inherited[name].held_out),
        )
        for name, one in own.items()
    }


def save_trained_on(
    folder: Path, found: dict[str, TrainedOn], *, identities: int, corpus: str
) -> TrainingTemplatesCard:
    """Write the file into a model's folder; returns what its card is to say of it.

    `found` is by matcher, `identities` how many the model was trained on, `corpus` the corpus's digest, or those of
    several with `+` between them.
    """
    tensors: dict[str, NDArray[np.generic]] = {}
    for name, one in found.items():
        for part in SETS:
            table: TemplatesOf = getattr(one, part)
            tensors[f"{name}/{part}/templates"] = np.ascontiguousarray(table.templates, np.float16)
            tensors[f"{name}/{part}/subjects"] = np.ascontiguousarray(table.subjects, np.int32)
    about = {"corpus": corpus, "matchers": {name: one.matcher_digest for name, one in found.items()}}
    path = folder / FILE
    # One entry: several come in an order of their own every time.
    save_file(tensors, path, {"about": json.dumps(about, sort_keys=True)})
    path.chmod(0o644)  # written for its owner alone
    return TrainingTemplatesCard(
        file=path.name,
        sha256=file_sha256(path),
        corpus_sha256=corpus,
        identities=identities,
        templates=max(len(one.training.subjects) for one in found.values()),
        held_out=max(len(one.held_out.subjects) for one in found.values()),
    )


def load_trained_on(folder: Path, card: ModelCard) -> dict[str, TrainedOn]:
    """Templates by matcher; empty for a card that names no file. Raises Corrupt for a file that the card does not
    speak of, or that is none of ours."""
    if card.training_templates is None:
        return {}
    path = folder / card.training_templates.file
    if path.parent != folder:
        raise Corrupt(f"the card of model {card.name!r} names templates outside its folder: {path.name!r}")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Corrupt(f"{path} has {size:,} bytes; at most {MAX_BYTES:,} are loaded")
        if file_sha256(path) != card.training_templates.sha256:
            raise Corrupt(f"{path} is not the file that its card speaks of: the digests differ")
        with safe_open(path, framework="numpy") as file:
            digests: dict[str, str] = json.loads(file.metadata()["about"])["matchers"]
            return {
                name: TrainedOn(
                    matcher_digest=digest,
                    training=_read(file, f"{name}/training"),
                    held_out=_read(file, f"{name}/held_out"),
                )
                for name, digest in sorted(digests.items())
            }
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as exc:
        raise Corrupt(f"{path} does not hold the templates of a training corpus: {exc}") from exc


def _read(file: Any, part: str) -> TemplatesOf:
    return TemplatesOf(
        templates=np.asarray(file.get_tensor(f"{part}/templates"), np.float32),
        subjects=np.asarray(file.get_tensor(f"{part}/subjects"), np.int64),
    )
