"""1:N search: FNIR at a FPIR over gallery sizes, measured.

A search of N references returns those that score >= threshold. A *non-mated* search (the probe's subject is not in
the gallery) is a false positive if it returns any; a *mated* search is a miss if the mate is not returned, or, with
`rank_one`, not above all others (a tie is a miss). Galleries hold one template a subject; distractors enlarge them.
Smaller galleries are drawn from the one there is, several times, each nested in the next.
Legend: P probes, G gallery sizes, R draws of galleries, B bootstrap replicates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.dataset.measures import Interval
from app.dataset.resolution import ERRORS
from app.errors import Cancelled
from workers.biometrics.bootstrap import DEFAULT, Bootstrap
from workers.biometrics.errors import ScoresRefused, Unresolvable
from workers.biometrics.intervals import resampled_interval
from workers.biometrics.rates import allowed
from workers.biometrics.templates import Comparer, Metric, TemplateTable

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Searches:
    """What searching galleries of several sizes gave."""

    sizes: tuple[int, ...]
    """[G] references in the gallery, ascending."""
    mates: Floats32
    """[P] score with the probe's mate; NaN if the mate has no template or is not in the gallery."""
    best_mated: Floats32
    """[R, G, P] highest score of the N − 1 others in a gallery with the mate."""
    best_non_mated: Floats32
    """[R, G, P] highest score in a gallery of N others."""
    subjects: NDArray[np.int64]
    """[P] codes 0 …, of the probes' subjects alone."""
    probes_failed: int
    """Probes without a template: no search was made."""
    references_failed: int
    """References without a template: not in the gallery."""
    strangers: NDArray[np.bool_] | None = None
    """[P] probes whose non-mated searches count; None: all."""

    @property
    def searched(self) -> int:
        """Non-mated searches a draw."""
        return self.best_non_mated.shape[2] if self.strangers is None else int(self.strangers.sum())

    def others(self, draw: int, number: int) -> tuple[Floats32, NDArray[np.int64]]:
        """Best scores [Q] of the non-mated searches that count, in a draw's gallery of a size, and their subjects."""
        best = self.best_non_mated[draw, number]
        if self.strangers is None:
            return best, self.subjects
        return best[self.strangers], self.subjects[self.strangers]


@dataclass(frozen=True, kw_only=True)
class IdentificationPoint:
    """FNIR at a FPIR for one gallery size."""

    size: int
    target_fpir: float
    fpir: float
    """As measured at the threshold: at most the target; the mean over draws of the gallery."""
    threshold: float
    """Mean over draws of the smallest threshold whose FPIR is at most the target."""
    fnir: float
    mated: int
    """Mated searches a draw."""
    non_mated: int
    by_subject: Interval
    """Over other probes' subjects and other galleries."""
    resolved: bool
    """Whether 30 false positives are to be expected at the target."""
    extrapolated: bool = False
    note: str = ""


def search(
    gallery: TemplateTable,
    probes: TemplateTable,
    sizes: Sequence[int],
    *,
    metric: Metric = "cosine",
    draws: int = 8,
    seed: int = 0,
    block: int = 512,
    should_cancel: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Searches:
    """Search each probe in galleries of every size.

    Every probe makes a mated search and, its mate put aside, a non-mated one. Raises ScoresRefused for a gallery with
    two templates of a subject, Unresolvable for a size that the gallery does not allow.
    """
    held = gallery.take(gallery.extracted)
    asked = probes.take(probes.extracted)
    if len(np.unique(held.subjects)) != len(held):
        raise ScoresRefused("the gallery has several templates of a subject; keep one of each")
    wanted = tuple(sorted(set(sizes)))
    if not wanted or wanted[0] < 2 or wanted[-1] >= len(held) or not len(asked):
        raise Unresolvable(
            f"gallery sizes must lie between 2 and {len(held) - 1} (one fewer than there are references, for a "
            f"non-mated search leaves the mate out) and there must be probes; there are {len(asked)}"
        )
    # A gallery of N others is the first N of a random order, or the first N + 1 if the mate is among them.
    orders = [np.random.Generator(np.random.Philox(key=[seed, draw])).permutation(len(held)) for draw in range(draws)]
    cuts = np.unique([[size - 1, size, size + 1] for size in wanted])
    places = {int(cut): number for number, cut in enumerate(cuts)}
    by_subject = np.argsort(held.subjects)
    at = np.searchsorted(held.subjects[by_subject], asked.subjects)
    column = by_subject[np.minimum(at, len(held) - 1)]
    mate = np.where(held.subjects[column] == asked.subjects, column, -1)
    comparer = Comparer.of(asked.templates, held.templates, metric)
    mates = np.full(len(asked), np.nan, np.float32)
    best_mated = np.empty((draws, len(wanted), len(asked)), np.float32)
    best_non_mated = np.empty_like(best_mated)
    for start in range(0, len(asked), block):
        if should_cancel():
            raise Cancelled("the searches were called off")
        part = slice(start, min(start + block, len(asked)))
        scores = comparer.block(part, slice(0, len(held)))
        rows = np.flatnonzero(mate[part] >= 0)
        mates[part.start + rows] = scores[rows, mate[part][rows]]
        scores[rows, mate[part][rows]] = -np.inf
        for draw, order in enumerate(orders):
            highest = np.maximum.accumulate(
                np.maximum.reduceat(scores[:, order[: cuts[-1]]], np.append(0, cuts[:-1]), axis=1), axis=1
            )  # [rows, cuts]: the best of the first `cut` columns
            rank = np.empty(len(held), np.int64)
            rank[order] = np.arange(len(held))
            place = np.where(mate[part] >= 0, rank[mate[part]], len(held))
            for number, size in enumerate(wanted):
                one_more = (place < size).astype(int)
                lines = np.arange(len(scores))
                best_non_mated[draw, number, part] = highest[lines, places[size] + one_more]
                fewer = np.where(place < size - 1, places[size], places[size - 1])
                best_mated[draw, number, part] = highest[lines, fewer]
        on_progress(part.stop, len(asked))
    return Searches(
        sizes=wanted,
        mates=mates,
        best_mated=best_mated,
        best_non_mated=best_non_mated,
        subjects=np.unique(asked.subjects, return_inverse=True)[1].astype(np.int64),
        probes_failed=len(probes) - len(asked),
        references_failed=len(gallery) - len(held),
    )


def fnir_at_fpir(
    searches: Searches, fpir: float, *, rank_one: bool = False, bootstrap: Bootstrap = DEFAULT
) -> list[IdentificationPoint]:
    """FNIR at the smallest threshold whose FPIR is at most the target, for every size searched.

    Each draw of a gallery has its own threshold, and draws are averaged. A bootstrap replicate takes one draw and
    resamples the probes' subjects. Raises Unresolvable without mated searches.
    """
    mated = has_mate(searches)
    _, misses = replicate_searches(searches, fpir, rank_one, bootstrap)
    points = []
    searched = searches.searched
    for number, size in enumerate(searches.sizes):
        found, rates, positives = [], [], []
        for draw in range(len(searches.best_non_mated)):
            best, _ = searches.others(draw, number)
            threshold = threshold_allowing(best, allowed(fpir, searched))
            missed = _missed(searches, draw, number, rank_one)[mated] | (searches.mates[mated] < threshold)
            found.append(threshold)
            rates.append(missed.mean())
            positives.append(np.mean(best >= threshold))
        points.append(
            IdentificationPoint(
                size=size,
                target_fpir=fpir,
                fpir=float(np.mean(positives)),
                threshold=float(np.mean(found)),
                fnir=float(np.mean(rates)),
                mated=int(mated.sum()),
                non_mated=searched,
                by_subject=resampled_interval(
                    misses[:, number],
                    float(np.mean(rates)),
                    len(np.unique(searches.subjects[mated])),
                    "bootstrap by probe subject and gallery",
                    bootstrap.confidence,
                    over="probe subjects",
                ),
                resolved=fpir * searched >= ERRORS,
            )
        )
    return points


def has_mate(searches: Searches) -> NDArray[np.bool_]:
    """[P] whether a probe's mate can be found; raises Unresolvable if none can."""
    mated = ~np.isnan(searches.mates)
    if not mated.any():
        raise Unresolvable("no probe has its mate in the gallery, so there is no FNIR; add mated probes")
    return mated


def threshold_allowing(best: Floats32, permitted: int) -> float:
    """The smallest float32 that at most so many of the searches reach."""
    if permitted >= len(best):
        return -np.inf
    return float(np.nextafter(np.sort(best)[-1 - permitted], np.float32(np.inf)))


def _missed(searches: Searches, draw: int, number: int, rank_one: bool) -> NDArray[np.bool_]:
    """[P] whether another scores at least as high as the mate, if that counts."""
    if not rank_one:
        return np.zeros(len(searches.mates), bool)
    return np.asarray(searches.best_mated[draw, number] >= searches.mates)


def replicate_searches(searches: Searches, fpir: float, rank_one: bool, bootstrap: Bootstrap) -> tuple[Floats, Floats]:
    """Thresholds and FNIRs [B, G]; replicate b takes the gallery draw b mod R."""
    mated = has_mate(searches)
    draws, count = len(searches.best_non_mated), len(searches.sizes)
    thresholds = np.full((bootstrap.replicates, count), np.nan)
    rates = np.full_like(thresholds, np.nan)
    for part, weights in bootstrap.multiplicities(int(searches.subjects.max()) + 1, 2 * len(searches.mates)):
        numbers = np.arange(part.start, part.stop)
        for draw in range(draws):
            chosen = numbers % draws == draw
            if not chosen.any():
                continue
            each = weights[chosen][:, searches.subjects]  # [b, P]
            whole = each[:, mated].sum(1)
            for number in range(count):
                best, owners = searches.others(draw, number)
                order = np.argsort(-best, kind="stable")
                running = np.cumsum(weights[chosen][:, owners[order]], 1)
                over = running > np.floor(fpir * running[:, -1:] * (1 + 1e-12) + 1e-9)
                reached = np.nextafter(best[order][over.argmax(1)], np.float32(np.inf)).astype(np.float64)
                threshold = np.where(over.any(1), reached, -np.inf)
                missed = _missed(searches, draw, number, rank_one)[mated]
                below = missed | (searches.mates[mated] < threshold[:, None])
                thresholds[numbers[chosen], number] = threshold
                rates[numbers[chosen], number] = np.divide(
                    (each[:, mated] * below).sum(1), whole, out=np.full(len(whole), np.nan), where=whole > 0
                )
    return thresholds, rates
