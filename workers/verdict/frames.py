"""What a reading child sends its parent: frames of a line of JSON, which says what follows, and plain numbers.

The parent takes nothing on trust: no frame may say that more follows than a block can have.
"""

import json
from typing import IO, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from workers.verdict.blocks import Block
from workers.verdict.candidate_files import ListBlock
from workers.verdict.named_blocks import NamedBlock
from workers.verdict.parquet import LONGEST_NAME, MOST_DIMENSIONS
from workers.verdict.template_files import TemplateBlock

Kind = Literal["scores", "templates", "candidates", "named"]
"""What a file holds: scores, templates of a set's samples, candidate lists, templates and whose they are."""

Part = Block | TemplateBlock | ListBlock | NamedBlock

MOST_ROWS = 1 << 21
"""Of a frame."""

COUNTS, NUMBERS, TEMPLATES, FLAGS = (np.dtype(kind) for kind in ("<i8", "<f8", "<f4", "?"))


class CutOff(Exception):
    """The child died within a frame, or wrote what is none."""


def write_part(out: BinaryIO, part: Part) -> None:
    """Write one frame."""
    said: dict[str, Any]
    arrays: list[tuple[NDArray[Any], np.dtype[Any]]]
    if isinstance(part, Block):
        said = {"rows": len(part.values), "first": part.first, "strange": list(part.strange.items())}
        arrays = [(part.references, COUNTS), (part.probes, COUNTS), (part.values, NUMBERS)]
    elif isinstance(part, TemplateBlock):
        said = {"rows": len(part.places), "width": part.templates.shape[1]}
        arrays = [(part.places, COUNTS), (part.templates, TEMPLATES)]
    elif isinstance(part, ListBlock):
        said = {"rows": len(part)}
        arrays = [(part.probes, COUNTS), (part.ranks, COUNTS), (part.references, COUNTS)]
        arrays += [(part.scores, NUMBERS), (part.half, FLAGS), (part.lines, COUNTS)]
    else:
        columns = {name: json.dumps(texts).encode() for name, texts in part.columns.items()}
        said = {"rows": len(part.templates), "width": part.templates.shape[1]}
        said["texts"] = {name: len(data) for name, data in columns.items()}
        arrays = [(np.frombuffer(data, np.uint8), np.dtype("u1")) for data in columns.values()]
        arrays += [(part.templates, TEMPLATES)]
    out.write(json.dumps(said).encode() + b"\n")
    for array, kind in arrays:
        out.write(np.ascontiguousarray(array, kind).data)


def read_part(out: IO[bytes], said: dict[str, Any], kind: Kind) -> Part:
    """Read what a frame's line says that follows; raises CutOff."""
    rows = _within(said["rows"], MOST_ROWS)
    if kind == "scores":
        return Block(
            references=_array(out, COUNTS, rows),
            probes=_array(out, COUNTS, rows),
            values=_array(out, NUMBERS, rows),
            first=int(said["first"]),
            strange={int(row): (str(left), str(right)) for row, (left, right) in said["strange"]},
        )
    if kind == "candidates":
        return ListBlock(
            probes=_array(out, COUNTS, rows),
            ranks=_array(out, COUNTS, rows),
            references=_array(out, COUNTS, rows),
            scores=_array(out, NUMBERS, rows),
            half=_array(out, FLAGS, rows),
            lines=_array(out, COUNTS, rows),
        )
    width = _within(said["width"], MOST_DIMENSIONS)
    if kind == "templates":
        places = _array(out, COUNTS, rows)
        return TemplateBlock(places=places, templates=_array(out, TEMPLATES, rows * width).reshape(rows, width))
    columns = {}
    for name, length in said["texts"].items():
        texts = json.loads(_bytes(out, _within(length, rows * 8 * LONGEST_NAME)))
        if len(texts) != rows:
            raise CutOff
        columns[str(name)] = [str(text) for text in texts]
    return NamedBlock(columns=columns, templates=_array(out, TEMPLATES, rows * width).reshape(rows, width))


def _within(said: Any, most: int) -> int:
    if not 0 <= int(said) <= most:
        raise CutOff
    return int(said)


def _array(out: IO[bytes], kind: np.dtype[Any], count: int) -> NDArray[Any]:
    return np.frombuffer(bytearray(_bytes(out, count * kind.itemsize)), kind)


def _bytes(out: IO[bytes], count: int) -> bytes:
    data = out.read(count)
    if len(data) < count:
        raise CutOff
    return data
