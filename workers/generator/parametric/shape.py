"""From latents to the head's vertices: who it is, how old it looks, and what it does with its face.

Shapes have the statistics of scanned volunteers: how MakeHuman's sliders lie together where its head is fitted to draws
of ICT-FaceKit's identity modes (mean and factors in data/sliders.npz; © 2020 USC Institute for Creative Technologies,
MIT).
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.latents import SECOND_BLOCKS
from workers.generator.parametric import faces
from workers.generator.parametric.geometry import HeadModel, Vertices
from workers.generator.parametric.regions import load_regions
from workers.generator.parametric.scans.heads import ScanHeads

SLIDERS = Path(__file__).parent / "data" / "sliders.npz"

SPREAD = 1.8
"""The fit loses a third of the scans' variance; this gives it back."""

FORM_MM, ASYMMETRY_MM = 2.8, 1.4
"""What no slider says: root mean square of the smooth fields that are alike on both sides, and of those not so."""

FARTHER = {"eye-": 1.8, "nose-": 1.4, "mouth-": 1.2}
"""How much farther sliders of these names go: the fit sees little of lids, nostrils and lips, matchers look there."""

EYES_OWN = 0.55
"""How far eyes differ beyond that, standard deviation of their sliders: the fit leaves the sockets out."""

SEEN_WELL = ("eye-trans", "eye-scale", "nose-scale-depth", "nose-scale-vert", "mouth-scale-depth")
"""Sliders of whole eyes, noses and mouths: the fit does see those, so they go no farther than it says."""

PUT_RIGHT = {"mouth-scale-horiz": 0.3, "eye-trans/l/in": -0.15, "eye-trans/r/in": -0.15}
"""Added to the mean of sliders of these names: mouths, and faces beside the eyes, come nearer to the scans' breadth."""

SEX_APART = 1.65
"""How far the sexes' macros are carried on beyond MakeHuman's own: the sliders' spread hides them otherwise."""

ANCESTRY_SHARE = 0.6
"""Of MakeHuman's differences between ancestries; the sliders' statistics hold the rest."""

LIDS_APART = 0.46
"""Of the lids at rest, over the length of their edges, a person in the middle."""

OF_THE_FIT = {
    "measure-neck-circ": 0.25,
    "neck-scale-horiz": 0.2,
    "neck-scale-depth": 0.35,
    "ear-scale": 0.4,
    "head///round": 0.3,
}
"""Sliders, and how much of their mean is taken over: scans end at the neck and hold ears badly, and the fit drives
these to their ends to make up for it."""

Latent = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class _Statistics:
    """How the sliders lie together."""

    ends: tuple[tuple[Path | None, Path], ...]
    """Of each slider, the target for values below 0 and that for values above."""
    mean: NDArray[np.float32]
    factors: NDArray[np.float32]
    """[52, sliders]: what a latent of one σ adds."""
    eyes: NDArray[np.float32]
    """[12, sliders]: what one of `form` adds, the same to both eyes."""


@lru_cache(maxsize=1)
def _statistics(head: HeadModel) -> _Statistics:
    with np.load(SLIDERS) as stored:
        names, mean, factors = stored["sliders"], stored["mean"], stored["factors"]
    ends = []
    for text in names.tolist():
        name, side, low, high = text.split("/")
        targets = head.sliders[name][side]
        ends.append((targets[low] if low else None, targets[high]))
    farther, trusted = (
        np.array([next((x for start, x in by.items() if text.startswith(start)), 1.0) for text in names], np.float32)
        for by in (dict.fromkeys(SEEN_WELL, 1.0) | FARTHER, OF_THE_FIT)  # the first name that fits holds
    )
    mean = mean * trusted
    for start, more in PUT_RIGHT.items():
        mean[[text.startswith(start) for text in names.tolist()]] += more
    return _Statistics(ends=tuple(ends), mean=mean, factors=factors * farther, eyes=_own_eyes(names.tolist()))


def _own_eyes(names: list[str]) -> NDArray[np.float32]:
    rng = np.random.default_rng(61)
    found = np.zeros((SECOND_BLOCKS["form"], len(names)), np.float32)
    drawn: dict[str, NDArray[np.float32]] = {}
    for number, text in enumerate(names):
        name, _, ends = text.split("/", 2)
        if name.startswith("eye-") and name not in ("eye-bag", "eye-bag-height", *SEEN_WELL):
            way = drawn.setdefault(name + ends, rng.standard_normal(len(found), np.float32) / np.sqrt(len(found)))
            found[:, number] = EYES_OWN * way
    return found


def identity_weights(head: HeadModel, identity: Latent, age: float) -> dict[Path, float]:
    """Morph targets and weights for one identity at an apparent age in years."""
    weights: dict[Path, float] = {}

    def add(path: Path, weight: float) -> None:
        weights[path] = weights.get(path, 0.0) + float(weight)

    _add_macros(head, identity, age, add)
    told = _statistics(head)
    values = told.mean + SPREAD * faces.block(identity, "shape") @ told.factors
    values = values + faces.block(identity, "form") @ told.eyes
    values = np.tanh(values)
    for (low, high), value in zip(told.ends, values.tolist(), strict=True):
        if value >= 0:
            add(high, value)
        elif low is not None:
            add(low, -value)
    return weights


def _add_macros(head: HeadModel, identity: Latent, age: float, add: Any) -> None:
    male = float(SEX_APART * (faces.masculinity(identity) - 0.5) + 0.5)
    genders = {"male": male, "female": 1 - male}
    old = float(np.clip((age - 22) / 62, 0, 1))
    child = float(np.clip((22 - age) / 20, 0, 1))
    ages = {"child": child, "young": 1 - old - child, "old": old}
    muscle = float(faces.between(faces.who(identity, "muscle"), 0.35, 0.7))
    weight = float(faces.between(faces.who(identity, "weight"), 0.22, 0.88))
    shares = ANCESTRY_SHARE * faces.ancestry(identity) + (1 - ANCESTRY_SHARE) / 3
    for race, share in zip(("african", "asian", "caucasian"), shares, strict=True):
        for gender, g in genders.items():
            for stage, a in ages.items():
                add(head.macro(f"{race}-{gender}-{stage}"), share * g * a)
    for gender, g in genders.items():
        for stage, a in ages.items():
            for m_name, m in _three_way(muscle, "muscle").items():
                for w_name, w in _three_way(weight, "weight").items():
                    add(head.macro(f"universal-{gender}-{stage}-{m_name}-{w_name}"), g * a * m * w)


def _three_way(value: float, name: str) -> dict[str, float]:
    return {
        f"min{name}": max(0.0, 1 - 2 * value),
        f"average{name}": 1 - abs(2 * value - 1),
        f"max{name}": max(0.0, 2 * value - 1),
    }


@lru_cache(maxsize=1)
def _fields(head: HeadModel) -> NDArray[np.float32]:
    """Smooth displacements of the whole head, decimetres a σ, [form + asymmetry, V, 3]: fixed for ever."""
    points = head.vertices.astype(np.float64) - np.array([0, 7.2, 0.9])
    for side in "lr":  # eyeballs move as wholes
        ball = head.group_vertices(f"helper-{side}-eye")
        points[ball] = points[ball].mean(0)
    rng = np.random.default_rng(52)
    near = np.clip((head.vertices[:, 1:2] - 5.6) / 0.8, 0, 1)
    found = []
    mirror = np.array([-1.0, 1.0, 1.0])
    for even, count, size in ((True, 12, FORM_MM), (False, 12, ASYMMETRY_MM)):
        for _ in range(count):
            waves = rng.normal(size=(10, 3))
            waves *= (2 * np.pi / rng.uniform(0.55, 1.5, (10, 1))) / np.linalg.norm(waves, axis=1, keepdims=True)
            phase, ways = rng.uniform(0, 2 * np.pi, 10), rng.normal(size=(10, 3))
            ways /= np.linalg.norm(waves, axis=1, keepdims=True)

            def moved(at: NDArray[np.float64], w: Any = waves, p: Any = phase, d: Any = ways) -> NDArray[np.float64]:
                return np.asarray(np.cos(at @ w.T + p) @ d)

            here, across = moved(points), moved(points * mirror) * mirror
            field = (here + across if even else here - across) * near
            seen = head.is_body & (head.head_weight > 0.9) & (head.vertices[:, 2] > 0.6)
            rms = np.sqrt((field[seen] ** 2).sum(1).mean())
            found.append(field / rms * size / 100 / np.sqrt(count))
    return np.array(found, np.float32)


def resting_units(head: HeadModel, identity: Latent, rest: Vertices) -> dict[str, float]:
    """Expression units that a face of vertices `rest` holds at rest: lids and brows lie in their own way on everybody.

    Lids are opened or closed until they stand as far apart as the identity's latent says, however the sockets are
    shaped: a person's eyes may be narrow, but nobody's are shut by a slider.
    """

    def latent(name: str) -> float:
        return float(faces.who(identity, name))

    opening = LIDS_APART * float(np.exp(faces.bounded(latent("lid_opening"), 0.22, 0.40)))
    now, wide, narrow = (_lids_apart(vertices) for vertices in (rest, *_moved_lids(head, rest)))
    height = float(faces.bounded(latent("brow_height"), 0.4, 0.8))
    units = {"browInnerUp": max(0.0, 0.22 * height + 0.10 * float(np.tanh(latent("brow_inner"))))}
    for side in ("Left", "Right"):
        units[f"eyeWide{side}"] = float(np.clip((opening - now) / max(wide - now, 0.02), 0, 1))
        units[f"eyeSquint{side}"] = float(np.clip((now - opening) / max(now - narrow, 0.02), 0, 1))
        units[f"browDown{side}"] = max(0.0, -0.55 * height)
        units[f"browOuterUp{side}"] = max(0.0, 0.6 * height + 0.2 * float(np.tanh(latent("brow_slope"))))
    return units


def _lids_apart(vertices: Vertices) -> float:
    """How far the lids' edges stand apart in their middle, over their length, the mean of both eyes."""
    upper, lower = vertices[load_regions().upper_lids], vertices[load_regions().lower_lids]
    height = upper[:, 2:6, 1].mean(1) - lower[:, 1:5, 1].mean(1)
    return float((height / np.abs(upper[:, -1, 0] - upper[:, 0, 0])).mean())


def _moved_lids(head: HeadModel, rest: Vertices) -> tuple[Vertices, Vertices]:
    """The head with its eyes as wide, and as narrow, as the units move them."""
    wide, narrow = (
        head.morph(rest, {head.unit(f"{name}{side}"): 1.0 for side in ("Left", "Right")})
        for name in ("eyeWide", "eyeSquint")
    )
    return wide, narrow


def expression_units(observation: Latent) -> dict[str, float]:
    """Expression units for one observation; all zero at z_O = 0."""
    smile, lips, brows, lids, pucker, jaw = faces.bounded(faces.factor(observation, "expression"), 1.0, 2.2)
    units: dict[str, float] = {"browInnerUp": 0.24 * brows, "jawOpen": 0.14 * jaw, "mouthPucker": 0.3 * pucker}
    for side in ("Left", "Right"):
        units |= {
            f"mouthSmile{side}": 0.42 * smile,
            f"cheekSquint{side}": 0.3 * smile,
            f"mouthFrown{side}": -0.28 * smile,
            f"mouthUpperUp{side}": 0.16 * lips,
            f"mouthPress{side}": -0.3 * lips,
            f"browDown{side}": -0.32 * brows,
            f"browOuterUp{side}": 0.28 * brows,
            f"eyeWide{side}": 0.25 * lids,
            f"eyeSquint{side}": -0.22 * lids,
            f"mouthStretch{side}": -0.28 * pucker,
        }
    return {name: value for name, value in units.items() if value > 0}


def shape_head(
    head: HeadModel, identity: Latent, observation: Latent, scans: ScanHeads | None = None
) -> tuple[Vertices, Vertices]:
    """Vertices at rest and with expression, both [V, 3], not yet turned; of sliders, or of scans."""
    age = float(faces.age_years(identity, observation))
    own = np.concatenate([faces.block(identity, "form"), faces.block(identity, "asymmetry")])
    if scans is None:
        rest = head.morph(head.vertices, identity_weights(head, identity, age))
    else:
        rest = scans.rest(identity, age)
        own[: len(faces.block(identity, "form"))] = 0  # the scans' modes say it
    rest = rest + np.einsum("k,kvd->vd", own.astype(np.float32), _fields(head))
    lying = resting_units(head, identity, rest)
    rest = head.morph(rest, {head.unit(name): min(value, 1.0) for name, value in lying.items() if value > 0})
    moved = {
        name: min(value, max(0.0, 1.0 - lying.get(name, 0.0))) for name, value in expression_units(observation).items()
    }
    return rest, head.morph(rest, {head.unit(name): value for name, value in moved.items()})


def vertex_normals(vertices: Vertices, faces: NDArray[Any]) -> Vertices:
    """Unit normals [V, 3] of a mesh of quads [F, 4]."""
    corners = vertices[faces]
    across = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals = np.zeros_like(vertices)
    for axis in range(3):
        # bincount is many times faster than np.add.at here.
        normals[:, axis] = np.bincount(faces.ravel(), np.repeat(across[:, axis], 4), minlength=len(vertices))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1), 1e-9)[:, None], np.float32)
