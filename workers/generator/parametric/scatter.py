"""Points spread evenly over a mesh of quads, that move with it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Places on quads."""

    corners: NDArray[np.int64]
    """The quad that each lies on, [N, 4] vertices."""
    across: NDArray[np.float64]
    along: NDArray[np.float64]
    """Where on it, [N, 1] in [0, 1]."""

    def at(self, values: NDArray[Any]) -> NDArray[Any]:
        """What values of the vertices, [V, K], are there, [N, K]."""
        a, b, c, d = (values[self.corners[:, k]] for k in range(4))
        u, w = self.across, self.along
        return np.asarray((a * (1 - u) + b * u) * (1 - w) + (d * (1 - u) + c * u) * w)

    def first(self, count: int) -> "Scatter":
        """The first of them."""
        return Scatter(corners=self.corners[:count], across=self.across[:count], along=self.along[:count])


def scatter(
    vertices: NDArray[np.float32], faces: NDArray[Any], count: int, rng: np.random.Generator, share: Any = 1.0
) -> Scatter:
    """Spread `count` points over quads [F, 4] by their area, and by `share` [F] of it."""
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]), axis=1) * share
    picked = faces[rng.choice(len(faces), count, p=area / area.sum())]
    across, along = rng.random((2, count, 1))
    return Scatter(corners=picked, across=across, along=along)
