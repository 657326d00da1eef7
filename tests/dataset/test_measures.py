"""Rates, intervals and points of curves: what older versions wrote is still read."""

import math

from app.dataset.measures import DetPoint, Interval, Rate


def test_an_interval_without_an_upper_end_is_null_in_json_and_infinite_here() -> None:
    interval = Interval(low=1.0, high=math.inf, confidence=0.95, method="by hand")
    assert '"high":null' in interval.model_dump_json()
    assert Interval.model_validate_json(interval.model_dump_json()) == interval
    assert 1e300 in interval
    assert 0.5 not in interval


def test_a_calibrations_rate_of_before_is_read() -> None:
    before = {"value": 0.1, "errors": 9, "trials": 90, "failed": 2, "exact": [0.05, 0.2], "by_subject": [0.04, 0.3]}
    rate = Rate.model_validate(before)
    assert (rate.exact.low, rate.exact.high, rate.exact.confidence) == (0.05, 0.2, 0.95)
    assert (rate.interval.low, rate.interval.high) == (0.04, 0.3)
    assert Rate.model_validate({**before, "by_subject": None}).interval == rate.exact


def test_an_evaluations_rate_and_point_of_before_are_read() -> None:
    between = {"low": 0.05, "high": 0.2, "confidence": 0.95, "method": "Clopper–Pearson over 90 comparisons"}
    rate = Rate.model_validate({"value": 0.1, "errors": 9, "trials": 90, "interval": between, "by_subject": None})
    assert rate.exact.method == "Clopper–Pearson over 90 comparisons"
    point = DetPoint.model_validate({"fmr": 0.01, "fnmr": 0.2})
    assert (point.at, point.band) == (0.01, (0.2, 0.2))
