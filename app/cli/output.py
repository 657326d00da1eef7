"""What commands write: results to standard output, everything else to standard error."""

import json
import re
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What steers a terminal, or turns the direction of a text; names out of files may hold it."""


def clean(text: object) -> str:
    """A text that steers no terminal: control characters are shown by their number."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", str(text).replace("\r\n", "\n"))


def out() -> Console:
    """Standard output, for people."""
    return Console(highlight=False, soft_wrap=True)


def err() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def show(text: object) -> None:
    """Write a line of the result for people."""
    out().print(clean(text), markup=False)


def say(text: object) -> None:
    """Tell a person something by the way."""
    err().print(clean(text), markup=False)


def as_json(value: Any) -> None:
    """Write a result for machines."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")
    sys.stdout.write(json.dumps(value, ensure_ascii=not unicode, indent=2) + "\n")


def table(columns: list[str], rows: list[list[str]]) -> None:
    """Write a table."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, no_wrap=column == columns[0])
    for row in rows:
        shown.add_row(*(clean(cell).replace("[", "\\[") for cell in row))
    Console(highlight=False).print(shown)


def fields(rows: list[tuple[str, Any]]) -> None:
    """Write names and values, a line each."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        if value not in (None, "", {}, []):
            show(f"{name:<{width}}  {value}")


def megabytes(size: float) -> str:
    """A size for people."""
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"
