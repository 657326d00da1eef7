"""What commands write: results to standard output, everything else to standard error."""

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table


def out() -> Console:
    """Standard output, for people."""
    return Console(highlight=False, soft_wrap=True)


def err() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Tell a person something by the way."""
    err().print(text, markup=False)


def as_json(value: Any) -> None:
    """Write a result for machines."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def table(columns: list[str], rows: list[list[str]]) -> None:
    """Write a table."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, no_wrap=column == columns[0])
    for row in rows:
        shown.add_row(*(cell.replace("[", "\\[") for cell in row))
    Console(highlight=False).print(shown)


def fields(rows: list[tuple[str, Any]]) -> None:
    """Write names and values, a line each."""
    width = max(len(name) for name, _ in rows)
    console = out()
    for name, value in rows:
        if value not in (None, "", {}, []):
            console.print(f"{name:<{width}}  {value}", markup=False)


def megabytes(size: float) -> str:
    """A size for people."""
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"
