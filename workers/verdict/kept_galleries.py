"""What is kept of templates that were searched, so that a later evaluation can take it for its baseline; no pickle."""

import io

import numpy as np
from pydantic import TypeAdapter

from app.dataset.galleries import Curve
from workers.verdict.gallery import Measured
from workers.verdict.kept_file import opened

VERSION = 1

_COLUMNS = ("mates", "best", "subjects", "strangers")
_CURVES = TypeAdapter(tuple[Curve, ...])


def pack(found: Measured) -> bytes:
    """What the searches came to: scores of mates and of the best others, no template."""
    out = io.BytesIO()
    np.savez(
        out,
        galleries_version=np.int64(VERSION),
        **{name: getattr(found, name) for name in _COLUMNS},
        size=np.int64(found.size),
        same=np.array(found.same),
        curves=np.frombuffer(_CURVES.dump_json(found.curves), np.uint8),
    )
    return out.getvalue()


def unpack(data: bytes) -> Measured:
    """The searches again; raises Corrupt."""
    with opened(data, "galleries_version", VERSION, form="searches", what="searches") as found:
        return Measured(
            **{name: found[name] for name in _COLUMNS},
            size=int(found["size"]),
            same=str(found["same"]),
            curves=_CURVES.validate_json(found["curves"].tobytes()),
        )
