"""From templates to figures: every matcher's report of every method, and what σ and another matcher change."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.dataset.measures import Interval
from app.dataset.report import JudgeReport, MatcherFacts
from workers.biometrics.crossed import compare_crossed
from workers.biometrics.rates import threshold_at_fmr
from workers.biometrics.tails import look_alikes
from workers.biometrics.templates import Metric, TemplateTable
from workers.generator.trained_on import TrainedOn
from workers.report.evidence import Evidence, JudgedBy
from workers.report.judging import judge
from workers.study.collect import Part
from workers.study.spec import TARGET, AtSigma, ByMatcher, Improvement, Method, MethodFound

REPLICATES = 1_000

NO_TEMPLATE = "no face found, or no template made of it"

PAIRS = 4
"""Look-alikes that are shown."""


def measure_method(
    method: Method,
    parts: Mapping[float, Part],
    matchers: Sequence[MatcherFacts],
    metrics: Mapping[str, Metric],
    *,
    subjects: int,
    samples: int,
    faults: tuple[str, ...],
    trained_on: Mapping[str, TrainedOn],
    seed: int,
    on_progress: Callable[[], None] = lambda: None,
) -> MethodFound:
    """All figures of one method; `parts` are by σ, 1 among them."""
    by_matcher = []
    for facts in matchers:
        reports: dict[float, JudgeReport] = {}
        for sigma, part in parts.items():
            evidence = _evidence(part, facts, metrics[facts.name], subjects, samples, trained_on, seed)
            reports[sigma] = judge(evidence, evidence.judges[0])
            on_progress()
        over = tuple(_at_sigma(sigma, reports[sigma], parts[sigma], facts.name) for sigma in sorted(parts))
        by_matcher.append(ByMatcher(ordinary=reports[1.0], over_sigma=over))
    return MethodFound(
        method=method,
        by_matcher=tuple(by_matcher),
        improvements=tuple(
            one for sigma in sorted(parts) for one in _improvements(sigma, parts[sigma], matchers, metrics, subjects)
        ),
        look_alikes=tuple(_look_alikes(parts[1.0], matchers[0], metrics, subjects)),
        faults=faults,
    )


def _evidence(
    part: Part,
    facts: MatcherFacts,
    metric: Metric,
    subjects: int,
    samples: int,
    trained_on: Mapping[str, TrainedOn],
    seed: int,
) -> Evidence:
    templates = part.templates[facts.name]
    missing = np.flatnonzero(np.isnan(templates[:, 0]))
    theirs = trained_on.get(facts.name)
    by = JudgedBy(
        facts=facts,
        metric=metric,
        templates=templates,
        failures=dict.fromkeys(missing.tolist(), NO_TEMPLATE),
        trained_on=theirs if theirs and theirs.matcher_digest == facts.digest else None,
    )
    return Evidence(
        judges=(by,),
        subjects=part.subjects,
        samples=part.samples,
        judged_subjects=subjects,
        judged_distractors=int((part.subjects >= subjects).sum()),
        samples_per_subject=samples,
        labels={},
        orders={},
        qualities={},
        asked_yaw=None,
        trained=bool(trained_on),
        seed=seed,
    )


def _at_sigma(sigma: float, report: JudgeReport, part: Part, name: str) -> AtSigma:
    point = report.at_fmr(TARGET)
    return AtSigma(
        sigma=sigma,
        eer=report.eer,
        fnmr=point.fnmr if point else None,
        det=report.det,
        without_template=int(np.isnan(part.templates[name][:, 0]).sum()),
        samples=len(part.subjects),
    )


def _table(part: Part, name: str, subjects: int) -> TemplateTable:
    mated = part.subjects < subjects
    return TemplateTable(templates=part.templates[name][mated], subjects=part.subjects[mated])


def _improvements(
    sigma: float, part: Part, matchers: Sequence[MatcherFacts], metrics: Mapping[str, Metric], subjects: int
) -> list[Improvement]:
    """Every two matchers, the worse on this method first."""
    missed: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for facts in matchers:
        scores = compare_crossed(_table(part, facts.name, subjects), subjects=subjects, metric=metrics[facts.name])
        if not len(scores.mated) or scores.non_mated_total * TARGET < 1:
            continue
        below = scores.mated < threshold_at_fmr(scores, TARGET)
        missed[facts.name] = (
            np.bincount(scores.mated_subjects, below, minlength=subjects).astype(np.float64),
            np.bincount(scores.mated_subjects, minlength=subjects).astype(np.float64),
        )
    names = list(missed)
    pairs = [(one, other) for number, one in enumerate(names) for other in names[number + 1 :]]
    return [_difference(sigma, one, other, missed[one], missed[other], subjects) for one, other in pairs]


def _difference(
    sigma: float,
    one: str,
    other: str,
    ones: tuple[NDArray[np.float64], NDArray[np.float64]],
    others: tuple[NDArray[np.float64], NDArray[np.float64]],
    subjects: int,
) -> Improvement:
    def rates(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        trials = np.maximum(weights @ ones[1], 1), np.maximum(weights @ others[1], 1)
        return np.asarray((weights @ ones[0]) / trials[0] - (weights @ others[0]) / trials[1])

    difference = float(rates(np.ones(subjects)))
    if difference < 0:
        return _difference(sigma, other, one, others, ones, subjects)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(subjects, np.full(subjects, 1 / subjects), REPLICATES).astype(np.float64)
    low, high = np.quantile(rates(weights), [0.025, 0.975])
    interval = Interval(low=float(low), high=float(high), confidence=0.95, method="bootstrap by subject")
    return Improvement(
        sigma=sigma, worse=one, better=other, difference=difference, interval=interval, subjects=subjects
    )


def _look_alikes(
    part: Part, facts: MatcherFacts, metrics: Mapping[str, Metric], subjects: int
) -> list[tuple[int, int, float]]:
    scores = compare_crossed(_table(part, facts.name, subjects), subjects=subjects, metric=metrics[facts.name])
    return [(int(pair.reference), int(pair.probe), float(pair.score)) for pair in look_alikes(scores.tail, PAIRS)]
