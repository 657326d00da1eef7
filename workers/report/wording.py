"""Numbers and names as the report's sentences spell them."""

import math

from app.dataset.measures import Interval, Rate

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(share: float | None) -> str:
    """A share as a percentage of three digits: 12.3%, 0.456%, 0%; never rounded to 0 or 100 if it is not."""
    if share is None or math.isinf(share):
        return "–"
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    value = 100 * share
    if value > 99:
        return f"{value:.2f}%" if value < 99.995 else "> 99.99%"
    if value < 0.001:
        return f"{share:.1e}"
    digits = 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}%"


def between(interval: Interval | None) -> str:
    """An interval of a share: 10.9% to 14.1%."""
    if interval is None:
        return "no interval"
    return f"{percent(interval.low)} to {percent(interval.high)}"


def ends(interval: Interval) -> str:
    """An interval of a number: 1.2 to 2.5, or 1.2 and above."""
    low = number(interval.low)
    return f"{low} and above" if math.isinf(interval.high) else f"{low} to {number(interval.high)}"


def rate_text(rate: Rate) -> str:
    """A rate with its better interval: 12.3% (95%: 10.9% to 14.1%)."""
    return f"{percent(rate.value)} (95%: {between(rate.interval)})"


def number(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits, thousands grouped."""
    if value is None or math.isinf(value):
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 1e7:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}"
    if abs(value) >= 10**digits:
        return f"{float(f'{value:.{digits}g}'):,.0f}"
    return f"{value:.{digits}g}".replace("-", "−")


def plain(value: float) -> str:
    """A threshold with every digit that it has, and no more: 0.363, 51."""
    return repr(value).removesuffix(".0")


def fmr_text(fmr: float) -> str:
    """A target FMR: 0.1%."""
    return f"{100 * fmr:g}%"


def power(value: float) -> str:
    """A power of ten: 10⁻³; 1 and 10% as they are."""
    exponent = round(math.log10(value))
    return "1" if exponent == 0 else f"10{str(exponent).translate(_RAISED)}"


def plural(count: int, one: str, many: str = "") -> str:
    """1 subject, 2 subjects."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def without(group: str, attribute: str) -> str:
    """A group's name where its attribute stands beside it: 'glasses in some images' is 'in some'."""
    short = group.removeprefix(f"{attribute} ").removesuffix(f" {attribute}")
    return short if short == group else short.removesuffix(" images").removesuffix(" image")
