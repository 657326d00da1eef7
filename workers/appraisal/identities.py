"""Finding what z_I may mean: attributes by boundaries in z, and what makes two people look alike.

Legend: N identities, z [N, d] the network's own, w [N, d_w]. Portraits are neutral: z_O = 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.errors import RequestRefused
from workers.appraisal.directions import LEAST_ACCURACY, Look, Seen
from workers.appraisal.scorers import Scorer
from workers.generator.base import APART_BLOCK, Latents
from workers.generator.draw import draw_identity
from workers.generator.editing.apart import Map, moved_apart, predicted
from workers.generator.editing.boundaries import Vector
from workers.generator.editing.fitting import fit_boundary
from workers.generator.editing.identities import Apart, Identities, turn_of
from workers.images import Pixels

SEED = 2**62 + 31
"""Of the identities that are looked at."""

SLICE = 1.5
"""No attribute's threshold lies farther out, in deviations: beyond it hardly anybody is left to choose from."""

RIDGE = 0.1
"""Of the prediction of templates, over the mean variance of a dimension of w."""

HELD_OUT = 0.2

CROWDED = 0.5
"""Quantile of predicted cosines from which on two are pushed apart."""

STEPS, STRIDE = 12, 0.08

BATCH = 16

Portraits = Callable[[Latents], Sequence[Pixels]]
"""z [N, d] → neutral portraits."""
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An attribute that z_I shall have."""

    name: str
    scorer: Scorer
    """Its sign says which of two."""
    values: tuple[str, str] | None
    """Names for below and above 0; None for an attribute that one has or has not."""


@dataclass(frozen=True, kw_only=True)
class FoundIdentities:
    """What was found."""

    identities: Identities
    attributes: dict[str, dict[str, Any]]
    """As a card has them."""
    about: dict[str, Any]
    """What was measured, for the card."""


def find_identities(
    portraits: Portraits,
    to_w: Map,
    latent: int,
    wanted: Sequence[Wanted],
    look: Look,
    judges: Mapping[str, Callable[[Pixels], NDArray[np.float32] | None]],
    *,
    samples: int,
    apart: bool,
    on_progress: OnProgress = lambda what, done, total: None,
) -> FoundIdentities:
    """Fit what is wanted to `samples` identities, and measure it on others.

    `look` is the filter network's view; `judges` are templates by name, by which repulsion is measured, one that had no
    say among them. Raises RequestRefused where too few faces are found, or a score cannot be read off z.
    """
    z = _drawn(samples, 0, latent)
    seen: list[Seen | None] = []
    scores = np.full((samples, len(wanted)), np.nan)
    for start in range(0, samples, BATCH):
        for row, image in enumerate(portraits(z[start : start + BATCH]), start):
            face = look(image)
            seen.append(face)
            if face is not None:
                scores[row] = [_number(one.scorer.score(image, face.points)) for one in wanted]
        on_progress("portraits", min(start + BATCH, samples), samples)
    there = np.array([face is not None for face in seen])
    if there.sum() < samples / 2:
        raise RequestRefused(
            [("name", f"no face found in {int((~there).sum())} of {samples} portraits; this needs a model of faces")]
        )
    attributes, turn = _attributes(z, scores, wanted)
    about: dict[str, Any] = {"samples": int(there.sum())}
    if turn is not None:
        _measure_attributes(portraits, turn, attributes, wanted, look, samples // 4, on_progress)
    how = None
    if apart:
        templates = np.stack([face.template for face in seen if face is not None]).astype(np.float64)
        how, about["likeness"] = _likeness(_mapped(to_w, z[there]), templates)
        measured = _measure_apart(portraits, to_w, latent, turn, len(wanted), how, judges, on_progress)
        about["apart"] = {"measured": measured}
    return FoundIdentities(identities=Identities(turn=turn, apart=how), attributes=attributes, about=about)


def _attributes(
    z: Latents, scores: NDArray[np.float64], wanted: Sequence[Wanted]
) -> tuple[dict[str, dict[str, Any]], Vector | None]:
    """Attributes as a card has them, each along a latent of its own, and the turn that puts them there."""
    normals: list[Vector] = []
    found: dict[str, dict[str, Any]] = {}
    problems = []
    for column, one in enumerate(wanted):
        read = np.isfinite(scores[:, column])
        own = scores[read, column]
        fitted = fit_boundary(z[read].astype(np.float64), own)
        if fitted is None or fitted.accuracy < LEAST_ACCURACY or not (own > 0).any() or (own > 0).all():
            told = "all portraits score alike" if fitted is None else f"held-out accuracy {fitted.accuracy:.2f}"
            problems.append(
                ("attribute", f"{one.name} cannot be read off z: {told}; at least {LEAST_ACCURACY} is wanted")
            )
            continue
        # In a direction of norm 1 z is N(0, 1): below the threshold lie as many as score below 0.
        below = float((own <= 0).mean())
        threshold = max(-SLICE, min(SLICE, NormalDist().inv_cdf(min(max(below, 1e-6), 1 - 1e-6))))
        about = {"scored": int(read.sum()), "held_out_accuracy": round(fitted.accuracy, 4), "below": round(below, 4)}
        latent = len(normals)
        normals.append(fitted.normal)
        if one.values is None:
            found[one.name] = {"kind": "share", "latent": latent, "threshold": threshold, "measured": about}
        else:
            sides = {one.values[0]: [None, threshold], one.values[1]: [threshold, None]}
            found[one.name] = {"kind": "choice", "latent": latent, "values": sides, "measured": about}
    if problems:
        raise RequestRefused(problems)
    return found, turn_of(normals) if normals else None


def _measure_attributes(
    portraits: Portraits,
    turn: Vector,
    attributes: Mapping[str, dict[str, Any]],
    wanted: Sequence[Wanted],
    look: Look,
    samples: int,
    on_progress: OnProgress,
) -> None:
    """Draw identities conditioned on either side of each attribute, and count how often the scorer agrees."""
    for one in wanted:
        entry = attributes[one.name]
        threshold = entry["threshold"] if one.values is None else entry["values"][one.values[1]][0]
        split = NormalDist().cdf(threshold)
        right = {False: 0, True: 0}
        asked = {False: 0, True: 0}
        for start in range(0, samples, BATCH):
            numbers = range(start, min(start + BATCH, samples))
            sides = [bool(number % 2) for number in numbers]
            z = np.stack(
                [
                    draw_identity(
                        SEED, number, 1, len(turn), {entry["latent"]: (split, 1.0) if above else (0.0, split)}
                    )
                    for number, above in zip(numbers, sides, strict=True)
                ]
            )
            for above, image in zip(sides, portraits((z.astype(np.float64) @ turn).astype(np.float32)), strict=True):
                face = look(image)
                value = None if face is None else one.scorer.score(image, face.points)
                if value is not None:
                    asked[above] += 1
                    right[above] += (value > 0) == above
            on_progress(f"{one.name}: conditioned draws", numbers.stop, samples)
        entry["measured"] |= {
            "drawn": sum(asked.values()),
            "as_asked_above": round(right[True] / max(1, asked[True]), 4),
            "as_asked_below": round(right[False] / max(1, asked[False]), 4),
            "by": "the scorer that it was fitted to; its own accuracy is another matter",
        }


def _likeness(w: Vector, templates: Vector) -> tuple[Apart, dict[str, Any]]:
    """Ridge regression from w to templates, and how far cosines of predictions tell those of templates."""
    cut = int(len(w) * (1 - HELD_OUT))
    middle, centre = w[:cut].mean(0), templates[:cut].mean(0)
    centred = w[:cut] - middle
    products = centred.T @ centred
    products[np.diag_indices_from(products)] += RIDGE * np.trace(products) / len(products) + 1e-12
    likeness = np.linalg.solve(products, centred.T @ (templates[:cut] - centre)).T
    how = Apart(likeness=likeness, middle=middle, base=centre, margin=0.0, steps=STEPS, stride=STRIDE)
    guess = predicted(torch.from_numpy(w[cut:]), how).numpy()
    upper = np.triu_indices(len(guess), 1)
    told, true = (guess @ guess.T)[upper], (templates[cut:] @ templates[cut:].T)[upper]
    correlation = float(np.corrcoef(told, true)[0, 1]) if len(told) > 2 else 0.0
    # Only those who look more alike than strangers commonly do are pushed.
    margin = round(float(np.clip(np.quantile(told, CROWDED), -1, 0.99)), 4) if len(told) else 0.0
    return replace(how, margin=margin), {"held_out": len(guess), "correlation": round(correlation, 4)}


def _measure_apart(
    portraits: Portraits,
    to_w: Map,
    latent: int,
    turn: Vector | None,
    held: int,
    how: Apart,
    judges: Mapping[str, Callable[[Pixels], NDArray[np.float32] | None]],
    on_progress: OnProgress,
) -> dict[str, Any]:
    """One block as drawn and as moved: scores with the nearest other, and pairs above what one in a thousand were."""
    drawn = _drawn(APART_BLOCK, 2, latent)
    moved = moved_apart(drawn, turn, held, how, to_w)
    views: dict[str, list[list[NDArray[np.float32]]]] = {name: [[], []] for name in judges}
    faces = [0, 0]
    for side, block in enumerate((drawn, moved)):
        z = block if turn is None else (block.astype(np.float64) @ turn).astype(np.float32)
        for start in range(0, len(z), BATCH):
            for image in portraits(z[start : start + BATCH]):
                templates = {name: judge(image) for name, judge in judges.items()}
                faces[side] += any(template is not None for template in templates.values())
                for name, template in templates.items():
                    if template is not None:
                        views[name][side].append(template)
            done = side * len(z) + min(start + BATCH, len(z))
            on_progress("identities moved apart", done, 2 * len(z))
    found: dict[str, Any] = {"identities": APART_BLOCK, "faces_before": faces[0], "faces_after": faces[1]}
    for name, (before, after) in views.items():
        if min(len(before), len(after)) > 2:
            found[name] = _crowding(np.stack(before), np.stack(after))
    return found


def _crowding(before: NDArray[np.float32], after: NDArray[np.float32]) -> dict[str, float]:
    """Cosines, or distances less than nought, of all pairs of each."""
    scores = []
    for templates in (before, after):
        unit = templates / np.linalg.norm(templates, axis=1, keepdims=True)
        pairs = unit.astype(np.float64) @ unit.T
        np.fill_diagonal(pairs, -np.inf)
        scores.append(pairs)
    upper = [pairs[np.triu_indices(len(pairs), 1)] for pairs in scores]
    rare = float(np.quantile(upper[0], 0.999))
    return {
        "nearest_before": round(float(scores[0].max(1).mean()), 4),
        "nearest_after": round(float(scores[1].max(1).mean()), 4),
        "share_above_before": round(float((upper[0] >= rare).mean()), 6),
        "share_above_after": round(float((upper[1] >= rare).mean()), 6),
    }


def _drawn(count: int, attempt: int, latent: int) -> Latents:
    return np.stack([draw_identity(SEED, number, attempt, latent) for number in range(count)])


def _mapped(to_w: Map, z: Latents) -> Vector:
    with torch.inference_mode():
        return np.asarray(to_w(torch.from_numpy(z.astype(np.float64))).numpy(), np.float64)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
