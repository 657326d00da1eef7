"""Ids of what is accepted: a prefix, ten characters of time and ten of chance, so that they sort by age."""

import secrets

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

DATASET = "ds_"
EVALUATION = "ev_"


def new_id(prefix: str, now: float) -> str:
    """Make an id; `now` in seconds since the epoch."""
    return prefix + _digits((int(now * 1000) << 50) | secrets.randbits(50), 20)


def ids_since(prefix: str, then: float) -> str:
    """What sorts before every id that was made at `then` (seconds since the epoch) or later, and after those before."""
    return prefix + _digits(max(0, int(then * 1000)), 10)


def _digits(number: int, count: int) -> str:
    return "".join(CROCKFORD[(number >> shift) & 31] for shift in range(5 * count - 5, -1, -5))
