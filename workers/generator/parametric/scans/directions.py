"""Sex and age as directions in the scans' modes, found by what MakeHuman's macros do to the same mesh."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.generator.parametric.geometry import HeadModel
from workers.generator.parametric.regions import Regions
from workers.generator.parametric.scans.registration import unseen

RIDGE = 0.02
"""Share of the modes' mean energy that is added to each: what a mode hardly says is not asked of it."""


@dataclass(frozen=True, kw_only=True)
class Directions:
    """Coefficients of the modes, in standard deviations."""

    sex: NDArray[np.float32]
    """From the middle to male, [modes]."""
    age: NDArray[np.float32]
    """From young to old, without what sex says, [modes]."""
    sex_explained: float
    age_explained: float
    """Share of the macros' energy, on vertices that are seen, that the modes reproduce."""


def find_directions(head: HeadModel, regions: Regions, modes: NDArray[np.float32]) -> Directions:
    """Directions of registered modes [K, V, 3]."""
    seen = regions.on_head & ~unseen(regions, head.vertices.astype(np.float64)) & (head.vertices[:, 2] > 0)
    male, female = (_macro(head, male=share, old=0.3) for share in (1.0, 0.0))
    young, old = (_macro(head, male=0.5, old=share) for share in (0.0, 1.0))
    sex, sex_explained = _solve(modes[:, seen], ((male - female) / 2)[seen])
    age, age_explained = _solve(modes[:, seen], (old - young)[seen])
    along = sex / np.linalg.norm(sex)
    age = age - (age @ along) * along
    return Directions(
        sex=sex.astype(np.float32),
        age=age.astype(np.float32),
        sex_explained=sex_explained,
        age_explained=age_explained,
    )


def _macro(head: HeadModel, *, male: float, old: float) -> NDArray[np.float64]:
    """MakeHuman's mean of the three ancestries at a share of male and of old, [V, 3]."""
    weights = {
        head.macro(f"{race}-{gender}-{stage}"): a * b / 3
        for race in ("african", "asian", "caucasian")
        for gender, a in (("male", male), ("female", 1 - male))
        for stage, b in (("young", 1 - old), ("old", old))
    }
    return head.morph(head.vertices, weights).astype(np.float64)


def _solve(modes: NDArray[np.float32], wanted: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Coefficients [K] with which modes [K, N, 3] come nearest to a displacement [N, 3], up to a shift of the whole."""
    table = (modes - modes.mean(1, keepdims=True)).reshape(len(modes), -1).astype(np.float64)
    field = (wanted - wanted.mean(0)).ravel()
    square = table @ table.T
    square[np.diag_indices_from(square)] += RIDGE * np.trace(square) / len(square)
    found = np.linalg.solve(square, table @ field)
    left = field - found @ table
    return found, float(1 - (left @ left) / (field @ field))
