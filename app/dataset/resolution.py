"""What a set can resolve: Doddington's rule of 30, as ISO/IEC 19795-1 takes it up.

With 30 errors observed, the true rate lies within ±30% of the one measured with 90% confidence, if trials are
independent. A target is resolved where at least 30 errors are to be expected at it.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from app.dataset.comparisons import Groups, Selection, count_comparisons

ERRORS = 30
"""Errors to be expected at a rate before it counts as resolved."""


LOWEST_RATE = 1e-12
"""A request may name no lower one: it would take 30 million million comparisons."""

ASKED_FOR = (1e-2, 1e-3)
"""FMRs at which gates are run: evaluate's own default is the lower one."""


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """Whether a set resolves its target, and what it would need."""

    resolved: bool
    problems: tuple[str, ...]
    """What is too small and what to change, one sentence each; empty if all is resolved."""
    non_mated: int
    """Non-mated comparisons there are."""
    non_mated_needed: int
    mated: int
    """Mated comparisons there are."""
    mated_needed: int
    """0 if no FNMR was asked for."""
    subjects_needed: int
    """Subjects that resolve the FMR when fully crossed with the same number of samples each."""


def comparisons_needed(rate: float, errors: int = ERRORS) -> int:
    """Fewest comparisons in which `errors` errors are to be expected at a rate.

    Raises ValueError below LOWEST_RATE and above 1.
    """
    if not LOWEST_RATE <= rate <= 1:
        raise ValueError(f"a rate must be between {LOWEST_RATE:g} and 1, not {rate}")
    # 30 / 1e-3 must be 30,000 and not 30,001: the decimal is meant, not its nearest binary fraction.
    return math.ceil(errors / Fraction(repr(float(rate))))


def subjects_needed(fmr: float, samples: int = 1, errors: int = ERRORS) -> int:
    """Fewest subjects, fully crossed, that resolve an FMR: S(S−1)/2 · K² >= errors / fmr.

    K `samples` of every subject are compared with all samples of all others, each pair once. One image each
    gives 246 subjects for 1e-3, 776 for 1e-4, 2,450 for 1e-5, 7,747 for 1e-6. More samples a subject add
    comparisons, though not as many independent ones: the bootstrap by subject tells.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    pairs = -(-comparisons_needed(fmr, errors) // samples**2)
    subjects = max(2, (1 + math.isqrt(1 + 8 * pairs)) // 2)
    while subjects * (subjects - 1) // 2 < pairs:
        subjects += 1
    return subjects


def shortcomings(
    selection: Selection, subjects: int, samples: int, distractors: int, groups: Groups = ()
) -> tuple[str, ...]:
    """What the comparisons that a set lists cannot resolve, a sentence each; none if it resolves FMR 0.1%.

    To be said before the set is made, and again before it becomes a release: a gate on it would be UNDECIDED.
    """
    counts = count_comparisons(selection, subjects, samples, distractors, groups)
    if not counts.mated:
        why = "it has one sample of each subject" if samples < 2 else "its comparisons.selection is 'none'"
        return (f"The set lists no mated comparison, for {why}: no error rate can be measured by its list.",)
    found = []
    missed = [fmr for fmr in ASKED_FOR if counts.non_mated < comparisons_needed(fmr)]
    if missed:
        able, verdict = "they resolve no FMR", "a verdict would be UNDECIDED"
        if counts.non_mated > ERRORS:
            able = f"they resolve FMR {_at_least(ERRORS / counts.non_mated)} and above"
            verdict = "a verdict at a lower one would be UNDECIDED"
        needs = " and ".join(
            f"at FMR {_percent(fmr)} you need {comparisons_needed(fmr):,} "
            f"({_what_would(fmr, selection, subjects, samples, distractors, groups)})"
            for fmr in missed
        )
        found.append(
            f"With comparisons '{selection}' the set lists {counts.non_mated:,} non-mated comparisons: by the rule of "
            f"30 {able}, and {verdict}. Of them {needs}."
        )
    if subjects < ERRORS:
        found.append(
            f"It has {subjects} subjects, and intervals are by subject: a verdict on so few tells great changes only. "
            "Take 100 or more for a gate."
        )
    return tuple(found)


def _what_would(fmr: float, selection: Selection, subjects: int, samples: int, distractors: int, groups: Groups) -> str:
    """The least change that brings enough non-mated comparisons for an FMR."""
    others: tuple[Selection, ...] = ("crossed", "complete")
    for other in others:
        listed = count_comparisons(other, subjects, samples, distractors, groups)
        if other != selection and listed.non_mated >= comparisons_needed(fmr):
            return f"comparisons.selection '{other}' lists {listed.non_mated:,}"
    return f"'complete' of {subjects_needed(fmr, samples):,} subjects with {samples:,} samples each"


def _percent(share: float) -> str:
    return f"{100 * share:g}%"


def _at_least(share: float) -> str:
    """A share in percent, of two digits, rounded up: what is named is resolved."""
    step = 10.0 ** (math.floor(math.log10(100 * share)) - 1)
    return f"{math.ceil(round(100 * share / step, 6)) * step:g}%"


def can_resolve(
    *, fmr: float, non_mated: int, fnmr: float | None = None, mated: int = 0, samples: int = 1, errors: int = ERRORS
) -> Resolution:
    """Judge by the rule of 30 whether so many comparisons resolve a target FMR, and FNMR if one is given.

    An FNMR is resolved if 30 errors *and* 30 matches are to be expected: at 0.99 it is the matches that are rare.
    `samples` a subject is used only to say how many subjects would do.
    """
    problems = []
    needed = comparisons_needed(fmr, errors)
    subjects = subjects_needed(fmr, samples, errors)
    if non_mated < needed:
        problems.append(
            f"FMR {fmr:g} needs {needed:,} non-mated comparisons and there are {non_mated:,}; "
            f"take {subjects:,} subjects fully crossed with {samples:,} image(s) each, or a higher FMR"
        )
    mated_needed = 0
    if fnmr is not None:
        if not 0 < fnmr < 1:
            raise ValueError(f"an FNMR to be resolved must lie between 0 and 1, not {fnmr}")
        mated_needed = comparisons_needed(min(fnmr, 1 - fnmr), errors)
        if mated < mated_needed:
            problems.append(
                f"FNMR {fnmr:g} needs {mated_needed:,} mated comparisons and there are {mated:,}; "
                "take more subjects, or more samples of each"
            )
    return Resolution(
        resolved=not problems,
        problems=tuple(problems),
        non_mated=non_mated,
        non_mated_needed=needed,
        mated=mated,
        mated_needed=mated_needed,
        subjects_needed=subjects,
    )
