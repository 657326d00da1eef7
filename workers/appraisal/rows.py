"""Lines of a model's table: what was measured, by whom, what is wanted of it, and how seeds are put together."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

SIGNS: dict[str, Callable[[float, float], bool]] = {"≤": operator.le, "≥": operator.ge, ">": operator.gt}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    measure: str
    judge: str
    value: float | None
    """None where the measure does not apply; `note` says why. Of several seeds their mean."""
    low: float | None = None
    high: float | None = None
    """Of one seed, and of what is counted over all seeds at once, a 95% interval where one can be given; else the
    lowest and the highest of the seeds."""
    wanted: tuple[str, float] | None = None
    """What a default model must reach at the least: a sign (≤, ≥, >) and a number."""
    note: str = ""
    """What to know when reading the value."""
    by_seed: tuple[float | None, ...] = ()
    """The value of each seed, where there are several."""

    @property
    def asked(self) -> str:
        """What is wanted, for people."""
        return "" if self.wanted is None else f"{self.wanted[0]} {self.wanted[1]:g}"

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None where nothing is wanted or nothing was measured."""
        if self.wanted is None or self.value is None:
            return None
        return bool(SIGNS[self.wanted[0]](self.value, self.wanted[1]))

    def as_card(self) -> dict[str, Any]:
        """As a card keeps it."""
        told = {
            "measure": self.measure,
            "judge": self.judge,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "asked": self.asked,
            "met": self.met,
            "note": self.note,
        }
        return {**told, "by_seed": list(self.by_seed)} if self.by_seed else told


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """What one judge says at one σ; of several seeds the means, and lowest and highest for ends of intervals."""

    judge: str
    sigma: float
    eer: float
    eer_low: float
    eer_high: float
    fnmr: float
    """At FMR 1e-2."""
    fnmr_low: float
    fnmr_high: float
    fmr_at_fixed: float
    """At the threshold that has FMR 1e-2 at σ = 1."""
    not_extracted: float
    """Share of samples without a template; beside the rates, never in them."""


def pooled_rows(by_seed: Sequence[Sequence[Row]]) -> list[Row]:
    """Put each line's seeds together; every seed has the same lines in the same order."""
    if len(by_seed) == 1:
        return list(by_seed[0])
    return [_pooled_row(rows) for rows in zip(*by_seed, strict=True)]


def pooled_points(by_seed: Sequence[Sequence[CurvePoint]]) -> list[CurvePoint]:
    """Put each point's seeds together."""
    if len(by_seed) == 1:
        return list(by_seed[0])
    return [_pooled_point(points) for points in zip(*by_seed, strict=True)]


def _pooled_row(rows: Sequence[Row]) -> Row:
    values = [row.value for row in rows if row.value is not None]
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    if not values:
        return replace(rows[0], low=None, high=None, note="; ".join(notes))
    if len(values) < len(rows):
        notes.append(f"measured in {len(values)} of {len(rows)} seeds")
    return replace(
        rows[0],
        value=float(np.mean(values)),
        low=min(values),
        high=max(values),
        note="; ".join(notes),
        by_seed=tuple(row.value for row in rows),
    )


def _pooled_point(points: Sequence[CurvePoint]) -> CurvePoint:
    eers, fnmrs = [point.eer for point in points], [point.fnmr for point in points]
    return CurvePoint(
        judge=points[0].judge,
        sigma=points[0].sigma,
        eer=float(np.mean(eers)),
        eer_low=min(eers),
        eer_high=max(eers),
        fnmr=float(np.mean(fnmrs)),
        fnmr_low=min(fnmrs),
        fnmr_high=max(fnmrs),
        fmr_at_fixed=float(np.mean([point.fmr_at_fixed for point in points])),
        not_extracted=float(np.mean([point.not_extracted for point in points])),
    )
