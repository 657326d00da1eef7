"""Ids of what is accepted: a prefix, ten characters of time and ten of chance, so that they sort by age."""

import secrets

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

DATASET = "ds_"
EVALUATION = "ev_"


def new_id(prefix: str, now: float) -> str:
    """Make an id; `now` in seconds since the epoch."""
    number = (int(now * 1000) << 50) | secrets.randbits(50)
    return prefix + "".join(CROCKFORD[(number >> shift) & 31] for shift in range(95, -1, -5))
