"""Reading an npz or Parquet file to plain numbers, and the child process that does it for a stranger's file.

Started as `python -m workers.verdict.reading_child FILE KIND MOST_ROWS MEMORY SECONDS`. On standard output it gives
frames: a line of JSON that says what follows, then the numbers; at last `{"end": true}` or `{"refused": why}`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from workers.biometrics.errors import ScoresRefused
from workers.generator.reading.child import limit_process
from workers.verdict.blocks import Block
from workers.verdict.columns import NPZ_MAGIC, read_npz, read_parquet
from workers.verdict.template_files import TemplateBlock, read_template_npz, read_template_parquet

Kind = Literal["scores", "templates"]


def read_columns(path: Path, kind: Kind, most: int) -> Iterator[Block | TemplateBlock]:
    """Yield what is in a file of at most so many rows; raises ScoresRefused."""
    with path.open("rb") as file:
        npz = file.read(len(NPZ_MAGIC)) == NPZ_MAGIC
        file.seek(0)
        if kind == "scores":
            yield from (read_npz if npz else read_parquet)(file, most)
        else:
            yield from (read_template_npz if npz else read_template_parquet)(file, most)


def main(path: str, kind: Kind, most: str, memory: str, seconds: str) -> None:
    """Read a file within limits and write frames."""
    limit_process(int(memory), int(seconds), 0)
    out = sys.stdout.buffer
    try:
        for part in read_columns(Path(path), kind, int(most)):
            _write(out, part)
        last: dict[str, Any] = {"end": True}
    except ScoresRefused as exc:
        last = {"refused": str(exc)}
    except MemoryError:
        last = {"refused": f"reading this file needs more memory than the limit of {int(memory) // 2**20:,} MiB"}
    out.write(json.dumps(last).encode() + b"\n")
    out.flush()


def _write(out: BinaryIO, part: Block | TemplateBlock) -> None:
    said: dict[str, Any]
    if isinstance(part, Block):
        said = {"rows": len(part.values), "first": part.first, "strange": list(part.strange.items())}
        arrays = [part.references.astype("<i8"), part.probes.astype("<i8"), part.values.astype("<f8")]
    else:
        said = {"rows": len(part.places), "width": part.templates.shape[1]}
        arrays = [part.places.astype("<i8"), part.templates.astype("<f4")]
    out.write(json.dumps(said).encode() + b"\n")
    for array in arrays:
        out.write(np.ascontiguousarray(array).data)


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
