"""Which points of a face a network places, and which of them strokes join: names and order, no geometry.

The first 48 points are those of the first models; a model that places just these draws no strokes.
"""

from dataclasses import dataclass

FIRST_MODELS = 48

COUNTS = {
    "lips-spread": 10,
    "eyes-spread": 12,
    "face-spread": 24,
    "eyeballs": 2,
    "upper-lids": 16,
    "lower-lids": 12,
    "mouth": 22,
    "nose-spread": 16,
    "cheeks-spread": 16,
    "brows": 10,
    "irises": 2,
    "rims": 32,
    "frame": 9,
}
"""Points of each group, in the order in which landmarks are listed; groups of a pair hold the left half first."""


def _ranges() -> dict[str, range]:
    found, start = {}, 0
    for name, count in COUNTS.items():
        found[name] = range(start, start + count)
        start += count
    return found


GROUPS = _ranges()
LANDMARKS = sum(COUNTS.values())

GLASSES = range(GROUPS["rims"].start, GROUPS["frame"].stop)
"""Where glasses are or would be: known for every face, shown only on one that wears them."""

FEATURES = (
    *GROUPS["lips-spread"],
    *GROUPS["eyes-spread"],
    *GROUPS["eyeballs"],
    *GROUPS["upper-lids"],
    *GROUPS["lower-lids"],
    *GROUPS["mouth"],
    *GROUPS["brows"],
)
"""Points about which detail matters most."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line through landmarks, in their order."""

    points: tuple[int, ...]
    closed: bool = False


def _pair(name: str) -> tuple[Curve, Curve]:
    points = tuple(GROUPS[name])
    half = len(points) // 2
    closed = name == "rims"
    return Curve(points=points[:half], closed=closed), Curve(points=points[half:], closed=closed)


_mouth, _frame = tuple(GROUPS["mouth"]), tuple(GROUPS["frame"])

STROKES: tuple[tuple[Curve, ...], ...] = (
    _pair("upper-lids"),
    _pair("lower-lids"),
    (Curve(points=_mouth[:5]),),
    (Curve(points=_mouth[5:10]),),
    (Curve(points=_mouth[10:17]),),
    (Curve(points=_mouth[17:]),),
    _pair("brows"),
    (*_pair("rims"), Curve(points=_frame[:3]), Curve(points=_frame[3:6]), Curve(points=_frame[6:])),
)
"""The curves that are drawn together, a list for each map of strokes. The last are the glasses."""
