"""How figures, sizes, times and names are written on a page."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

NOTHING = "–"
SMALLEST_RATE = 1e-6
"""Below it a share is told as less, not as a power of ten."""


def count(value: float | None) -> str:
    """12,345."""
    return NOTHING if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """A share as a percentage of three digits: 4.93%, 0.0123%, <0.0001%."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0%"
    if 0 < value < SMALLEST_RATE:
        return "<0.0001%"
    return f"{100 * value:.3g}%" if 100 * abs(value) < 999.5 else f"{100 * value:,.0f}%"


def points(change: float, sign: bool = False) -> str:
    """A change of a rate in percentage points, with its sign where that is wanted: +26.7 points."""
    text = f"{100 * change:{'+' if sign and change else ''}.3g}".replace("-", "−")
    return f"{text} point{'' if text in ('1', '+1', '−1') else 's'}"


def figure(value: Any) -> str:
    """Any number, four digits; whole ones whole."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def size(value: float | None) -> str:
    """Bytes as kB, MB, GB (powers of 1000, as disks have it)."""
    if value is None:
        return NOTHING
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} TB"


def duration(seconds: float | None) -> str:
    """About how long: 40 s, 12 min, 3.5 h, 2 days."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def when(text: str | float | None) -> str:
    """A time to the minute, UTC: 2026-11-28 23:40."""
    if not text:
        return NOTHING
    found = datetime.fromtimestamp(text, UTC) if isinstance(text, int | float) else datetime.fromisoformat(text)
    return found.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def short(digest: str | None) -> str:
    """The first twelve digits of a digest."""
    return digest[:12] if digest else NOTHING


def json_text(value: Any) -> str:
    """JSON as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def words(name: str) -> str:
    """A field's name as words: `skin_tone` is skin tone."""
    return name.replace("_", " ")


def truth(attributes: Mapping[str, Any]) -> str:
    """Attributes in short: female, 37.2, medium, glasses."""
    said = []
    for name, value in attributes.items():
        if isinstance(value, bool):
            said += [words(name)] if value else []
        else:
            said.append(figure(value))
    return ", ".join(said)


def tile(page: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, int]:
    """Where a listed sample lies on its sheet of thumbnails, and how large that is, in pixels."""
    tiles, columns = page["tiles"], page["tiles"]["columns"]
    there = min(tiles["sheet"], page["total"] - row["sheet"] * tiles["sheet"])
    down, across = divmod(row["tile"], columns)
    width, height = tiles["width"], tiles["height"]
    return {
        "x": across * width,
        "y": down * height,
        "width": width,
        "height": height,
        "sheet_width": min(there, columns) * width,
        "sheet_height": -(-there // columns) * height,
    }


FILTERS = {
    "tile": tile,
    "truth": truth,
    "count": count,
    "rate": rate,
    "points": points,
    "figure": figure,
    "size": size,
    "duration": duration,
    "when": when,
    "short": short,
    "json_text": json_text,
    "words": words,
}
