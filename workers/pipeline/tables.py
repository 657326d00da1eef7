"""Tables of templates, and arrays with JSON beside them, as .npz without pickle, always the same bytes."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Corrupt
from workers.biometrics.templates import TemplateTable


def pack(arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, object]) -> bytes:
    """Arrays and texts (as JSON) under their names."""
    out = io.BytesIO()
    named = {**arrays, **{name: np.array(json.dumps(text, ensure_ascii=False)) for name, text in texts.items()}}
    np.savez(out, allow_pickle=False, **named)
    return out.getvalue()


def unpack(data: bytes, name: str) -> dict[str, NDArray[Any]]:
    """What `pack` wrote; raises Corrupt with `name`."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return {key: found[key] for key in found.files}
    except (ValueError, OSError, KeyError, EOFError) as exc:
        raise Corrupt(f"{name} cannot be read: {exc}") from exc


def pack_table(table: TemplateTable) -> bytes:
    """A table as .npz."""
    return pack({"templates": table.templates, "subjects": table.subjects}, {})


def unpack_table(data: bytes, name: str) -> TemplateTable:
    """A table that `pack_table` wrote; raises Corrupt."""
    found = unpack(data, name)
    if not {"templates", "subjects"} <= set(found):
        raise Corrupt(f"{name} holds no templates")
    return TemplateTable(templates=found["templates"].astype(np.float32), subjects=found["subjects"].astype(np.int64))


def join_tables(tables: Sequence[TemplateTable]) -> TemplateTable:
    """Tables one behind the other."""
    return TemplateTable(
        templates=np.concatenate([table.templates for table in tables]),
        subjects=np.concatenate([table.subjects for table in tables]),
    )
