"""Differential privacy by OpenDP: Laplace noise on every statistic, its budget shared out before anything is told."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.dataset.profile import Budget
from app.errors import Misconfigured
from workers.profile.tell import Floats


class LaplaceNoise:
    """Noise for a list of statistics that is known beforehand; each is told once."""

    def __init__(self, epsilon: float, names: Sequence[str]) -> None:
        """Raises Misconfigured where OpenDP is not installed."""
        try:
            import opendp.prelude as dp
        except ImportError as exc:
            text = "--epsilon needs OpenDP, whose noise others have proven; have `pip install 'opendp>=0.14'` run"
            raise Misconfigured(text) from exc
        dp.enable_features("contrib")
        self._dp: Any = dp
        self._parts = {name: epsilon / len(names) for name in names}
        self._left = set(names)
        self._epsilon = epsilon

    def add(self, name: str, weights: Floats, sensitivity: float) -> Floats:
        """See Noise; a name that was not announced, or comes again, is our own fault."""
        self._left.remove(name)
        dp = self._dp
        space = dp.vector_domain(dp.atom_domain(T=float, nan=False)), dp.l1_distance(T=float)
        measurement = dp.m.make_laplace(*space, scale=sensitivity / self._parts[name])
        return np.array(measurement(weights.tolist()), np.float64)

    @property
    def variance(self) -> float:
        """Of what is added to a count, in subjects squared, at the least."""
        return 2 * max(self._parts.values()) ** -2

    @property
    def budget(self) -> Budget:
        """What was spent; to be asked for at the end."""
        if self._left:
            raise ValueError(f"no noise was asked for {', '.join(sorted(self._left))}")
        return Budget(
            epsilon=self._epsilon,
            parts=self._parts,
            mechanism="OpenDP make_laplace over L1 distance; neighbours differ by one subject",
        )
