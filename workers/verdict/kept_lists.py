"""What is kept of candidate lists, so that a later evaluation can take them for its baseline; no pickle."""

import io

import numpy as np

from workers.verdict.candidates import Searched
from workers.verdict.kept_file import opened

VERSION = 1

_COLUMNS = ("probes", "has_mate", "mate_scores", "mate_ranks", "best_others", "lengths")


def pack(found: Searched) -> bytes:
    """What the searches came to, a row a probe: not the lists themselves."""
    out = io.BytesIO()
    np.savez(
        out,
        lists_version=np.int64(VERSION),
        **{name: getattr(found, name) for name in _COLUMNS},
        totals=np.array([found.gallery, found.candidates, found.tied], np.int64),
        gallery_digest=np.array(found.gallery_digest),
        ties=np.array(found.ties, np.str_),
    )
    return out.getvalue()


def unpack(data: bytes) -> Searched:
    """The searches again; raises Corrupt."""
    with opened(data, "lists_version", VERSION, form="lists", what="candidate lists") as found:
        gallery, candidates, tied = found["totals"].tolist()
        return Searched(
            **{name: found[name] for name in _COLUMNS},
            gallery=gallery,
            gallery_digest=str(found["gallery_digest"]),
            candidates=candidates,
            ties=tuple(found["ties"].tolist()),
            tied=tied,
        )
