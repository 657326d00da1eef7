"""What is kept of candidate lists, so that a later evaluation can take them for its baseline; no pickle."""

import io
import zipfile

import numpy as np

from app.errors import Corrupt
from workers.verdict.candidates import Searched

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
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            if int(found["lists_version"]) != VERSION:
                raise Corrupt(f"these kept lists have form {found['lists_version']}, and {VERSION} is read here")
            gallery, candidates, tied = found["totals"].tolist()
            return Searched(
                **{name: found[name] for name in _COLUMNS},
                gallery=gallery,
                gallery_digest=str(found["gallery_digest"]),
                candidates=candidates,
                ties=tuple(found["ties"].tolist()),
                tied=tied,
            )
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as exc:
        raise Corrupt("the candidate lists kept of an evaluation cannot be read") from exc
