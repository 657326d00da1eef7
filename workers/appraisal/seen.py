"""Whether samples at σ = 1 show what they were asked for: a face, its turn, the subject's attributes, glasses."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.dataset.model import Attribute, ChoiceAttribute, ModelCard, attribute_value
from workers.appraisal.judged import Judged, Seen
from workers.appraisal.rows import Row
from workers.biometrics.intervals import exact_interval
from workers.generator.latents import asked_pose
from workers.matchers.base import Matcher
from workers.matchers.pose import estimate_pose

FEWEST_YAWS = 4
"""Below that a correlation has no interval."""

NEAR = 10.0
"""Degrees within which a turn counts as the one asked for; the estimate itself is within 8.2 for 95 of 100 renders."""

RIDGE = 1e-2
"""Of the linear classifier, over the mean square of templates."""

Floats = NDArray[np.float64]


def detector_rows(card: ModelCard, seen: Seen, judge: str) -> list[Row]:
    """Faces that a detector found at σ = 1, and the yaw read off their five points beside the yaw asked for."""
    found = [face is not None for face in seen.faces]
    interval = exact_interval(sum(found), len(found), over="samples")
    pose = asked_pose(card, seen.observation)
    asked = np.full(len(found), np.nan) if pose is None else np.asarray(pose.yaw)
    pairs = [
        (float(wanted), estimate_pose(face.points).yaw)
        for wanted, face in zip(asked, seen.faces, strict=True)
        if face is not None
    ]
    return [
        Row(
            measure="face found, σ = 1",
            judge=judge,
            value=float(np.mean(found)),
            low=interval.low,
            high=interval.high,
            wanted=("≥", 0.99),
        ),
        *_yaw_rows(judge, pairs, has_yaw=pose is not None),
    ]


def _yaw_rows(judge: str, pairs: Sequence[tuple[float, float]], *, has_yaw: bool) -> list[Row]:
    names = ("yaw seen against yaw asked for, correlation", f"yaw within {NEAR:g}° of that asked for")
    if not has_yaw or len(pairs) < FEWEST_YAWS:
        note = f"too few faces were found ({len(pairs)})" if has_yaw else "the model has no factor pose"
        return [Row(measure=name, judge=judge, value=None, note=note) for name in names]
    asked, seen = np.array(pairs).T
    value = float(np.corrcoef(asked, seen)[0, 1])
    # Fisher's transform: nearly normal with standard error 1 / sqrt(n - 3).
    low, high = np.tanh(np.arctanh(value) + np.array([-1.96, 1.96]) / np.sqrt(len(pairs) - 3))
    near = int((np.abs(asked - seen) <= NEAR).sum())
    interval = exact_interval(near, len(pairs), over="samples")
    return [
        Row(measure=names[0], judge=judge, value=value, low=float(low), high=float(high), wanted=("≥", 0.9)),
        Row(
            measure=names[1],
            judge=judge,
            value=near / len(pairs),
            low=interval.low,
            high=interval.high,
            wanted=("≥", 0.95),
        ),
    ]


def label_rows(card: ModelCard, judge: Matcher, judged: Sequence[Judged], subjects: int) -> list[Row]:
    """How often a linear classifier over a judge's templates names the value that a sample's subject was given.

    It is fitted on portraits and on samples of other subjects of all seeds, and asked of samples at σ = 1: each half of
    the subjects by what the other half taught.
    """
    rows = []
    for name, attribute in card.attributes.items():
        if isinstance(attribute, ChoiceAttribute):
            named, asked = _named(judge, judged, subjects, attribute)
            interval = exact_interval(int(named), asked, over="samples") if asked else None
            rows.append(
                Row(
                    measure=f"{name} as labelled, σ = 1, by a linear classifier",
                    judge=judge.name,
                    value=named / asked if asked else None,
                    low=interval.low if interval else None,
                    high=interval.high if interval else None,
                    wanted=("≥", 0.95),
                    note=f"{len(attribute.values)} values" if asked else "no sample gave a template",
                )
            )
    return rows


def _named(judge: Matcher, judged: Sequence[Judged], subjects: int, attribute: Attribute) -> tuple[int, int]:
    """How many samples are named rightly, of how many."""
    templates, labels, folds = [], [], []
    for one in judged:
        for seen, portraits in ((one.ordinary, False), (one.portraits, True)):
            table = seen.tables[judge.name]
            values = np.array([str(attribute_value(attribute, float(z[attribute.latent]))) for z in seen.identity])
            # Portraits of the samples' own subjects would give them away.
            fold = np.where(table.subjects < subjects, -1, 2) if portraits else table.subjects % 2
            kept = table.extracted & (fold >= 0)
            templates.append(table.templates[kept].astype(np.float64))
            labels.append(values[kept])
            folds.append(fold[kept])
    x, y, fold = np.concatenate(templates), np.concatenate(labels), np.concatenate(folds)
    right = 0
    for half in (0, 1):
        learned, asked = fold != half, fold == half
        if asked.any():
            right += int((_classified(x[learned], y[learned], x[asked]) == y[asked]).sum())
    return right, int((fold < 2).sum())


def _classified(x: Floats, y: NDArray[np.str_], asked: Floats) -> NDArray[np.str_]:
    """Ridge regression to one column a value, every value weighing alike; the largest column names it."""
    values, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    weight = (1 / counts)[codes]
    middle = (weight[:, None] * x).sum(0) / weight.sum()
    centred = x - middle
    target = np.eye(len(values))[codes] - 1 / len(values)
    left = (centred * weight[:, None]).T @ centred
    left += RIDGE * np.trace(left) / len(left) * np.eye(len(left))
    solved = np.linalg.solve(left, (centred * weight[:, None]).T @ target)
    return np.asarray(values[((asked - middle) @ solved).argmax(1)])


def glasses_row(card: ModelCard) -> list[Row]:
    """What a classifier of renders said of the model's glasses when it was exported; nothing where it offers none."""
    if "glasses" not in card.attributes:
        return []
    seen = ((card.model_extra or {}).get("measured") or {}).get("glasses") or {}
    value = seen.get("generated")
    return [
        Row(
            measure="glasses as asked, σ = 1",
            judge="classifier of renders",
            value=value,
            wanted=("≥", 0.95),
            note=f"measured when it was exported; the classifier is right on {seen['held_out_renders']:.1%} of renders"
            if value is not None
            else "the model is drawn as asked, and no classifier was trained to look",
        )
    ]
