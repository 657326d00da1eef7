"""Quality of the judged samples, and the pose that was asked for against the pose that is seen."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from app.dataset.report import Pose, Quality, QualityMeasure
from workers.report import figures
from workers.report.evidence import Evidence


class Meaning(NamedTuple):
    """What a measure is."""

    title: str
    """As people call it; empty: its name, with its words apart."""
    text: str
    unit: str = ""


MEANINGS: Mapping[str, Meaning] = {
    "yaw_deg": Meaning("yaw", "turn of the head to its own left", "°"),
    "roll_deg": Meaning("roll", "lean of the head, clockwise in the image", "°"),
    "inter_eye_px": Meaning("distance of the eyes", "distance of the eyes in the image", "px"),
    "sharpness": Meaning("sharpness", "deviation of the Laplacian of the luma over the aligned face"),
    "contrast": Meaning("contrast", "standard deviation of that luma", "of 255"),
    "brightness": Meaning("brightness", "mean of that luma", "of 255"),
    "detection_score": Meaning("detector's confidence", "confidence of the face detector"),
    "sface_norm": Meaning(
        "length of SFace's template", "length of SFace's template before division: a proxy of utility to that matcher"
    ),
}

COMPONENT = Meaning("", "OFIQ's formula, over regions of our own", "0 to 100")
"""What every other measure is."""

OFIQ = Meaning("OFIQ itself, as the operator has installed it", "0 to 100")
"""What a measure whose name begins with `ofiq.` is."""

YAW = "yaw_deg"

FEWEST = 10
"""Samples that a correlation is read off."""


def quality(evidence: Evidence) -> Quality | None:
    """Every measure that there is, those that we know first; None without samples or measures."""
    if not evidence.qualities or not len(evidence):
        return None
    order = [name for name in MEANINGS if name in evidence.qualities]
    order += sorted(set(evidence.qualities) - set(order))
    measures = []
    for name in order:
        column = evidence.qualities[name]
        there = column[~np.isnan(column)]
        meaning = MEANINGS.get(name, OFIQ if name.startswith("ofiq.") else COMPONENT)
        measures.append(
            QualityMeasure(
                name=name,
                title=meaning.title or spelt_out(name),
                meaning=meaning.text,
                unit=meaning.unit,
                measured=len(there),
                not_measured=len(column) - len(there),
                values=figures.distribution(there),
            )
        )
    absent: dict[str, str] = {}
    return Quality(measures=tuple(measures), pose=_pose(evidence, absent), absent=absent)


def spelt_out(name: str) -> str:
    """A measure's name in words: DynamicRange is dynamic range, eye_distance eye distance."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").lower()


def _pose(evidence: Evidence, absent: dict[str, str]) -> Pose | None:
    if evidence.asked_yaw is None:
        absent["pose"] = "the model's latents do not tell which yaw was asked for"
        return None
    if YAW not in evidence.qualities:
        absent["pose"] = "yaw was not measured"
        return None
    seen = evidence.qualities[YAW]
    there = ~np.isnan(seen) & ~np.isnan(evidence.asked_yaw)
    asked, seen = evidence.asked_yaw[there], seen[there]
    if len(asked) < FEWEST or asked.std() == 0 or seen.std() == 0:
        absent["pose"] = f"{len(asked)} samples with a face, or a pose that never changes: nothing to correlate"
        return None
    width = figures.nice_width(float(max(asked.max(), seen.max()) - min(asked.min(), seen.min())), 30)
    drawn, measured = figures.distribution(asked, width=width), figures.distribution(seen, width=width)
    if drawn is None or measured is None:
        raise ValueError("no pose")
    return Pose(
        asked=drawn,
        measured=measured,
        correlation=figures.rounded(float(np.corrcoef(asked, seen)[0, 1])),
        mean_error=figures.rounded(float(np.abs(asked - seen).mean())),
    )
