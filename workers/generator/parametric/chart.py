"""The skin's own drawing: colour, relief and shine of one face on a flat chart that the shader looks up.

A chart is a cylinder's: azimuth about the template's upright axis from left to right, height from bottom to top. All
that is on it is a sum of fixed fields weighted by latents, so it changes smoothly with them. Legend: T texels [HEIGHT,
WIDTH]; places are the template's, decimetres; m melanin, h haemoglobin (what they swallow of red, green and blue).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.ndimage import map_coordinates

from workers.generator.parametric import faces
from workers.generator.parametric.regions import Skin
from workers.generator.parametric.shape import Latent, vertex_normals

Field = NDArray[np.float32]

WIDTH, HEIGHT = 384, 256
REACH = 2.0
"""Radians to either side."""

BOTTOM, TOP = 5.9, 8.5
AXIS_Z = 0.35

MELANIN = np.array([0.42, 0.72, 1.0], np.float32)
HAEMOGLOBIN = np.array([0.10, 1.0, 0.80], np.float32)

COARSE = (48, 72)
"""Texels of the fields with long waves."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One face's skin."""

    colour: NDArray[np.uint8]
    """[T, 4]: half of what the skin's colour is multiplied with, and shine from 0 to 1; its first row is the lowest."""
    relief: NDArray[np.float16]
    """[T, 4]: slopes to the left and upwards, light that reaches furrows, and how much of the beard's dots there is."""


@dataclass(frozen=True, kw_only=True)
class _Fields:
    """What all charts are mixed from."""

    x: Field
    y: Field
    z: Field
    texel: Field
    """Width of a texel, decimetres, [T]."""
    edge: Field
    """1 on the face, falling to 0 at the chart's borders."""
    coarse: Field
    """[2 × colour, *COARSE]: melanin's fields, then haemoglobin's."""
    coarse_relief: Field
    """[relief, *COARSE], millimetres."""
    fine: Field
    """[8, T]: fields with short waves, one variance each."""
    folds: dict[str, Field]
    """Height of what age and character fold, millimetres."""
    freckles: Field
    """[5, T]: from those that come first to those that come last."""
    pores: Field
    regions: dict[str, Field]


def _waves(points: NDArray[Any], rng: np.random.Generator, shortest: float, longest: float, count: int) -> Field:
    """Smooth random values of one variance at points [..., 3]: half alike on both sides of the face, half not."""
    total = np.zeros(points.shape[:-1])
    for even in (True, False):
        waves = rng.normal(size=(count, 3))
        waves /= np.linalg.norm(waves, axis=1, keepdims=True)
        waves *= 2 * np.pi / np.exp(rng.uniform(np.log(shortest), np.log(longest), (count, 1)))
        phase = rng.uniform(0, 2 * np.pi, count)
        at = np.abs(points) * np.array([1, 0, 0]) + points * np.array([0, 1, 1]) if even else points
        total += np.cos(at @ waves.T + phase).sum(-1)
    return np.asarray(total / np.sqrt(count), np.float32)


def _blob(x: Any, y: Any, cx: float, cy: float, wide: float, high: float) -> Any:
    return np.exp(-(((x - cx) / wide) ** 2) - ((y - cy) / high) ** 2)


def _smooth(low: float, high: float, value: Any) -> Any:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@lru_cache(maxsize=1)
def _load(skin: Skin) -> _Fields:
    v = skin.vertices
    normals = vertex_normals(v, skin.faces)
    around = np.arctan2(v[:, 0], v[:, 2] - AXIS_Z)
    radius = np.hypot(v[:, 0], v[:, 2] - AXIS_Z)
    out = normals[:, 0] * np.sin(around) + normals[:, 2] * np.cos(around)
    usable = (out > 0.15) & ~skin.pinna & (v[:, 1] > BOTTOM - 0.3)
    # Inside the mouth and behind the lids there are walls that face outwards, too.
    inside = (np.abs(v[:, 0]) < 0.36) & (v[:, 1] > 6.4) & (v[:, 1] < 7.05) & (v[:, 2] < 1.42)
    inside |= (np.abs(np.abs(v[:, 0]) - 0.31) < 0.17) & (np.abs(v[:, 1] - 7.28) < 0.12) & (v[:, 2] < 1.27)
    usable &= ~(inside & (v[:, 2] > 0.5))
    a = (np.arange(WIDTH) + 0.5) / WIDTH * 2 * REACH - REACH
    h = (np.arange(HEIGHT) + 0.5) / HEIGHT * (TOP - BOTTOM) + BOTTOM
    aa, y = np.meshgrid(a, h)
    known = np.stack([around[usable], v[usable, 1]], 1)
    r = LinearNDInterpolator(known, radius[usable])(aa, y)
    nearest = NearestNDInterpolator(known, radius[usable])(aa, y)
    r = cv2.GaussianBlur(np.where(np.isnan(r), nearest, r), (0, 0), 1.0)
    # Under the jaw the chart is stretched: what is drawn there fades.
    square = NearestNDInterpolator(known, out[usable])(aa, y)
    square = _smooth(0.25, 0.6, cv2.GaussianBlur(square, (0, 0), 2.0))
    x, z = r * np.sin(aa), AXIS_Z + r * np.cos(aa)
    places = np.stack([x, y, z], -1)
    rng = np.random.default_rng(1904)
    few = cv2.resize(places, COARSE[::-1], interpolation=cv2.INTER_AREA)
    colours = [_waves(few, rng, 0.35, 1.4, 14) for _ in range(2 * faces.block(np.zeros(faces.IDENTITY), "colour").size)]
    heights = [_waves(few, rng, 0.16, 0.6, 16) for _ in range(faces.block(np.zeros(faces.IDENTITY), "relief").size)]
    fine = [_waves(places, rng, 0.045, 0.16, 24) for _ in range(8)]
    edge = (
        square
        * _smooth(REACH, REACH - 0.5, np.abs(aa))
        * _smooth(BOTTOM, BOTTOM + 0.15, y)
        * _smooth(TOP, TOP - 0.3, y)
    )
    grain = rng.normal(size=(2, HEIGHT, WIDTH)).astype(np.float32)
    pores = cv2.GaussianBlur(grain[0], (0, 0), 0.8)
    pores = pores / pores.std() + 0.6 * cv2.GaussianBlur(grain[1], (0, 0), 2.0) / 0.14
    return _Fields(
        x=x.astype(np.float32),
        y=y.astype(np.float32),
        z=z.astype(np.float32),
        texel=np.maximum(r * 2 * REACH / WIDTH, 0.004).astype(np.float32),
        edge=edge.astype(np.float32),
        coarse=np.array(colours),
        coarse_relief=np.array(heights),
        fine=np.array(fine),
        folds={name: value.astype(np.float32) for name, value in _folds(x, y, z, rng).items()},
        freckles=_freckles(x, y, z, rng),
        pores=(pores / pores.std()).astype(np.float32),
        regions={name: np.asarray(value, np.float32) for name, value in _regions(x, y, z).items()},
    )


def _regions(x: Any, y: Any, z: Any) -> dict[str, Any]:
    side = np.abs(x)
    front = _smooth(0.3, 0.9, z)
    shiny = _blob(side, y, 0, 7.9, 0.45, 0.25) + _blob(side, y, 0, 7.15, 0.12, 0.4)
    shiny = shiny + 0.7 * _blob(side, y, 0.42, 7.02, 0.18, 0.14)
    beard_top = np.interp(side, [0, 0.22, 0.34, 0.6, 0.8], [6.95, 6.93, 6.72, 6.74, 7.1])
    chin = _smooth(5.95, 6.15, y) * _smooth(0.2, 0.5, z)
    return {
        "cheeks": _blob(side, y, 0.50, 6.95, 0.24, 0.24) * front,
        "nose": _blob(side, y, 0.0, 7.0, 0.15, 0.16) * _smooth(1.35, 1.55, z),
        "forehead": _smooth(7.55, 7.75, y) * front,
        "jaw": _smooth(6.85, 6.5, y) * _smooth(0.2, 0.6, z),
        "chin": _blob(side, y, 0.0, 6.32, 0.2, 0.14) * front,
        "lids": _blob(side, y, 0.31, 7.33, 0.17, 0.08) * front,
        "rings": _blob(side, y, 0.285, 7.165, 0.135, 0.055) * front,
        "inner": _blob(side, y, 0.16, 7.25, 0.06, 0.08) * front,
        "eye": _blob(side, y, 0.31, 7.28, 0.24, 0.17) * front,
        "tzone": np.clip(shiny, 0, 1) * front,
        "lips": _blob(side, y, 0, 6.62, 0.24, 0.09) * front,
        "shaved": np.clip((beard_top - y) / 0.16, 0, 1) * chin * (1 - _blob(side, y, 0, 6.62, 0.22, 0.075)),
    }


def _groove(distance: Any, width: float) -> Any:
    """A furrow's height across it: sharp in the middle, with a soft rise on either side."""
    d = distance / width
    return -np.exp(-d * d) + 0.35 * np.exp(-((np.abs(d) - 2.2) ** 2) / 1.5)


def _folds(x: Any, y: Any, z: Any, rng: np.random.Generator) -> dict[str, Any]:
    side = np.abs(x)
    front = _smooth(0.7, 1.1, z)
    places = np.stack([x, y, z], -1)
    bend = 0.035 * _waves(places, rng, 0.4, 0.9, 8)
    patchy = np.clip(0.6 + 0.5 * _waves(places, rng, 0.25, 0.6, 8), 0, 1.4)
    forehead = sum(
        depth * _groove(y + bend - at - 0.02 * np.cos(3.2 * x), 0.016)
        for at, depth in ((7.66, 0.6), (7.745, 1.0), (7.83, 0.9), (7.92, 0.7), (8.01, 0.4))
    )
    forehead = forehead * patchy * _smooth(0.62, 0.35, side) * front
    frown = sum(
        _groove(side - at - 0.25 * (y - 7.5) ** 2 + 0.3 * bend, 0.013) * w for at, w in ((0.055, 1.0), (0.10, 0.5))
    )
    frown = frown * _blob(side, y, 0.06, 7.50, 0.10, 0.10) * front
    out, up = side - 0.47, y - 7.27 + 0.4 * bend
    angle, far = np.arctan2(up, np.maximum(out, 1e-3)), np.hypot(out, up)
    crow = -((0.5 + 0.5 * np.cos(angle * 9.0)) ** 3) * _smooth(0.02, 0.07, far) * _smooth(0.24, 0.10, far)
    crow = crow * (out > 0) * _smooth(1.25, 0.8, np.abs(angle)) * patchy
    t = np.clip((7.02 - y) / 0.50, 0, 1)
    curve = 0.165 + 0.235 * t**0.75
    d = side - curve
    along = _smooth(7.06, 6.96, y) * _smooth(6.44, 6.62, y) * front
    nasolabial = (
        -0.9 * np.exp(-((d / 0.022) ** 2)) + 1.3 * np.exp(-(((d - 0.085) / 0.075) ** 2)) * (d > -0.05)
    ) * along
    d = side - (0.29 + 0.12 * np.clip((6.58 - y) / 0.3, 0, 1))
    marionette = -np.exp(-((d / 0.024) ** 2)) * _smooth(6.60, 6.52, y) * _smooth(6.26, 6.40, y) * front
    jowl = _blob(side, y, 0.46, 6.40, 0.13, 0.11) * _smooth(0.4, 0.8, z) - 0.7 * _blob(side, y, 0.30, 6.33, 0.06, 0.10)
    arc = y - (7.115 + 0.9 * (side - 0.30) ** 2 + 0.10 * (side - 0.30))
    span = _smooth(0.145, 0.20, side) * _smooth(0.50, 0.40, side) * front
    bags = (np.exp(-(((arc - 0.055) / 0.034) ** 2)) - 0.9 * np.exp(-((arc / 0.022) ** 2))) * span
    hollow = -np.exp(-(((y - 7.10 + 0.5 * (side - 0.2)) / 0.05) ** 2)) * _blob(side, y, 0.24, 7.1, 0.12, 0.12) * front
    lines = sum(_groove(arc + 0.03 - 0.035 * k + 0.25 * bend, 0.008) for k in range(3)) * span
    lip_lines = np.sin(np.arctan2(x, 0.9) * 95 + 4 * bend) * _blob(side, y, 0, 6.62, 0.20, 0.10) * front
    neck = sum(_groove(y - at + 0.10 * x * x + 0.7 * bend, 0.02) for at in (6.02, 6.12)) * _smooth(6.2, 6.1, y)
    dimple = -_blob(side, y, 0, 6.34, 0.028, 0.06) * front
    return {
        "forehead_lines": 0.35 * forehead,
        "frown_lines": 0.5 * frown,
        "crow_feet": 0.45 * crow,
        "nasolabial": 0.85 * nasolabial,
        "marionette": 0.8 * marionette,
        "jowls": 1.5 * jowl,
        "bags": 0.75 * bags,
        "hollow": 0.8 * hollow,
        "lid_lines": 0.16 * lines,
        "lip_lines": 0.05 * lip_lines,
        "neck": 0.6 * neck,
        "cleft": 0.6 * dimple,
    }


def _freckles(x: Any, y: Any, z: Any, rng: np.random.Generator) -> Field:
    likely = _blob(np.abs(x), y, 0.25, 7.05, 0.45, 0.22) + 0.35 * _smooth(6.3, 7.4, y) + 0.1
    likely = likely * _smooth(0.3, 0.8, z)
    texels = rng.choice(likely.size, 900, p=(likely / likely.sum()).ravel())
    maps = np.zeros((5, *x.shape), np.float32)
    for number, texel in enumerate(texels):
        row, column = divmod(int(texel), x.shape[1])
        maps[number % 5, row, column] += rng.uniform(0.4, 1.0)
    return np.array(
        [
            np.minimum(cv2.GaussianBlur(m, (0, 0), s) * 2 * np.pi * s * s, 1.2)
            for m, s in zip(maps, (1.1, 1.4, 1.0, 1.3, 1.8), strict=True)
        ]
    )


@lru_cache(maxsize=1)
def _spots() -> tuple[NDArray[Any], ...]:
    """Moles, pimples and scars: directions in the latents' space, places, sizes, kinds."""
    rng = np.random.default_rng(77)
    count = 54
    ways = rng.normal(size=(count, 12))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    columns = np.clip(rng.normal(WIDTH / 2, WIDTH * 0.12, count), 40, WIDTH - 40)
    rows = rng.uniform(0.18, 0.86, count) * HEIGHT
    sizes = np.exp(rng.normal(np.log(0.95), 0.35, count))
    kinds = rng.choice(3, count, p=[0.62, 0.26, 0.12])
    return ways, np.stack([columns, rows], 1), sizes, kinds


def draw_chart(skin: Skin, identity: Latent, observation: Latent, *, melanin: float, brow_shade: Any) -> Chart:
    """Draw one face's chart; `melanin` 0 (lightest) to 1, `brow_shade` [T] darkens the skin under the brows' hair."""
    f = _load(skin)
    region = f.regions

    def latent(name: str) -> float:
        return float(faces.who(identity, name))

    old = faces.oldness(identity, observation)
    male = bool(faces.is_male(identity))
    colour, relief = (faces.block(identity, name).astype(np.float32) for name in ("colour", "relief"))
    size = len(colour)
    mixed = [_mixed(colour, part) / np.sqrt(size) for part in (f.coarse[:size], f.coarse[size:])]
    pale = 1 - melanin
    m, h = (cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for part in mixed)
    near = 1 + 0.8 * region["eye"]
    m, h = 0.085 * near * m, 0.055 * near * (np.minimum(np.exp(0.7 * h), 2.2) - 0.9) * (0.35 + 0.65 * pale)
    flecks = _mixed(colour[:8], f.fine) / np.sqrt(8)
    h = h + (0.016 + 0.012 * old) * flecks * pale
    m = m + (0.012 + 0.02 * old) * np.clip(flecks - 0.8, 0, 2) * (0.4 + pale)
    red = float(faces.between(latent("redness"), 0.03, 0.24)) * (0.25 + 0.75 * pale)
    h = h + red * (0.75 * region["cheeks"] + 0.85 * region["nose"] + 0.3 * region["chin"])
    h = h + float(faces.between(latent("eye_flush"), 0.02, 0.20)) * (region["lids"] + region["inner"]) * (
        0.4 + 0.6 * pale
    )
    ring = float(faces.between(latent("eye_rings"), 0.02, 0.36)) * (0.7 + 0.6 * old)
    m = m + ring * region["rings"] + 0.4 * ring * region["lids"] + 0.3 * ring * region["inner"]
    m = m - 0.05 * region["forehead"] + 0.05 * region["jaw"]
    amount = float(faces.between(latent("freckles"), -2.2, 3.4)) * (pale > 0.35) * min(1.0, 2.5 * (pale - 0.35))
    for number, spots in enumerate(f.freckles):
        strength = float(np.clip(amount - 0.55 * number, 0, 1))
        if strength > 0:
            m = m + 0.34 * strength * spots
    make_up = float(np.clip(latent("eye_makeup") - 0.3, 0, 1.6)) * (not male)
    shade = 0.30 * make_up * region["lids"]
    beard_shade = _beard_shade(identity, region["shaved"]) if male else 0.0
    light = -(m[..., None] * MELANIN + h[..., None] * HAEMOGLOBIN) - (shade + beard_shade + brow_shade)[..., None]
    height = cv2.resize(_mixed(relief, f.coarse_relief), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    height = 0.36 / np.sqrt(len(relief)) * height * (1 + 0.6 * old)
    height = height + 0.009 * (1 + old) * _mixed(relief[:8], f.fine) / np.sqrt(8)
    height = (1.0 if male else 0.7) * height + (1.0 if male else 0.8) * _aged(f, latent, old)
    fold, crease = _lid_fold(f, latent, old)
    light, height = light - crease[..., None], height + fold
    height = height + (0.0045 + 0.003 * float(faces.between(latent("pores"), 0, 1)) + 0.003 * old) * f.pores
    light, height = _with_spots(light, height, identity, pale)
    return _finished(f, light, height, latent, old)


def _mixed(weights: Field, fields: Field) -> Field:
    """Fields [K, ...] weighed and added; many times faster than by BLAS, whose threads wait for each other here."""
    return np.asarray(np.einsum("k,k...->...", weights, fields), np.float32)


def _aged(f: _Fields, latent: Any, old: float) -> Field:
    def amount(name: str, start: float, spread: float = 0.35) -> float:
        return float(np.clip(old - start + spread * np.tanh(0.8 * latent(name)), 0, 1.2))

    weights = {
        "forehead_lines": 0.8 * amount("forehead_lines", 0.25),
        "frown_lines": 0.7 * amount("frown_lines", 0.3),
        "crow_feet": 0.8 * amount("crow_feet", 0.25),
        "nasolabial": 0.10 + 0.75 * amount("nasolabial", 0.12),
        "marionette": 0.6 * amount("jowls", 0.4),
        "jowls": 1.2 * amount("jowls", 0.45),
        "bags": 0.08 + 0.8 * float(np.clip(0.7 * old + 0.45 * np.tanh(latent("eye_bags")) - 0.1, 0, 1.2)),
        "hollow": 0.7 * float(np.clip(0.6 * old + 0.3 * np.tanh(latent("eye_age")), 0, 1)),
        "lid_lines": 0.8 * amount("eye_age", 0.2),
        "lip_lines": 0.5 + 0.9 * old,
        "neck": 0.05 + 0.25 * old,
        "cleft": float(np.clip(0.8 * latent("lip_edge") - 0.6, 0, 1)),
    }
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    for name, weight in weights.items():
        if weight > 0:
            total += np.float32(weight) * f.folds[name]
    return total


def _lid_fold(f: _Fields, latent: Any, old: float) -> tuple[Field, Field]:
    """The upper lid's fold: its height, millimetres, and how much darker it is, [T] each; some faces have none."""
    side = np.abs(f.x)
    deep = float(faces.between(latent("lid_fold"), -0.25, 1.15))
    if deep <= 0:
        return np.zeros_like(f.x), np.zeros_like(f.x)
    high = 7.352 + float(faces.bounded(latent("lid_fold_height"), 0.012, 0.026)) - 0.012 * old
    slant = float(faces.bounded(latent("lid_slant"), 0.05, 0.11)) - 0.05 * old
    line = high + slant * (side - 0.31) - 1.25 * (side - 0.30) ** 2
    span = _smooth(0.155, 0.20, side) * _smooth(0.49, 0.42, side) * _smooth(0.7, 1.0, f.z)
    d = f.y - line
    fold = (0.5 * np.exp(-(((d - 0.022) / 0.02) ** 2)) - 0.8 * np.exp(-((d / 0.009) ** 2))) * span * deep
    crease = 0.75 * np.exp(-((d / 0.0085) ** 2)) * span * deep
    return np.asarray(fold, np.float32), np.asarray(crease, np.float32)


def _beard_shade(identity: Latent, shaved: Field) -> Field:
    grown = float(faces.beard(identity))
    stubble = float(faces.between(faces.who(identity, "stubble"), 0.02, 0.28))
    return np.asarray(shaved * (stubble + 0.8 * grown), np.float32)


def _with_spots(light: Field, height: Field, identity: Latent, pale: float) -> tuple[Field, Field]:
    ways, places, sizes, kinds = _spots()
    reach = ways @ faces.block(identity, "marks").astype(np.float64) + 0.45 * float(faces.who(identity, "moles"))
    strength = np.clip((reach - 1.55) / 0.7, 0, 1)
    for k in np.flatnonzero(strength):
        (cx, cy), s = places[k], float(sizes[k]) * (1.0 if kinds[k] else 0.9)
        left, low = int(cx) - 8, int(cy) - 8
        yy, xx = np.mgrid[low : low + 17, left : left + 17]
        spot = (np.exp(-((xx - cx) ** 2 + (yy - cy) ** 2) / (2 * s * s)) * strength[k]).astype(np.float32)
        spot = np.minimum(1.6 * spot, 1)
        window = np.s_[low : low + 17, left : left + 17]
        if kinds[k] == 0:
            light[window] -= (0.75 * spot)[..., None] * np.array([0.75, 1.0, 1.1], np.float32)
            height[window] += 0.10 * spot
        elif kinds[k] == 1:
            light[window] -= (0.30 * (0.3 + pale) * spot)[..., None] * HAEMOGLOBIN
            height[window] += 0.06 * spot
        else:
            light[window] += (0.15 * spot)[..., None]
            height[window] -= 0.10 * spot
    return light, height


def _finished(f: _Fields, light: Field, height: NDArray[Any], latent: Any, old: float) -> Chart:
    height = height * f.edge / 100  # decimetres
    up, along = np.gradient(height)
    slope_along, slope_up = along / f.texel, up / ((TOP - BOTTOM) / HEIGHT)
    bent = cv2.GaussianBlur(height, (0, 0), 2.5) - height
    furrow = np.exp(-np.maximum(bent * 100, 0) * 3.0)
    colour = np.exp(light * f.edge[..., None]) * (0.62 + 0.38 * furrow[..., None])
    shine = float(faces.between(latent("shine"), 0.25, 0.85)) * (1 - 0.25 * old)
    gloss = np.clip((0.45 + 0.75 * f.regions["tzone"] + 0.1 * f.pores) * shine, 0, 1)
    packed = np.concatenate([np.clip(colour / 2, 0, 1), gloss[..., None]], 2)
    relief = np.stack([slope_along, slope_up, furrow, np.zeros_like(furrow)], 2)
    return Chart(colour=np.rint(packed * 255).astype(np.uint8), relief=relief.astype(np.float16))


def places(skin: Skin) -> tuple[Field, Field]:
    """Where each texel lies on the template, x and y, [T] each."""
    fields = _load(skin)
    return fields.x, fields.y


def looked_up(chart: Chart, place: NDArray[Any]) -> tuple[Field, Field]:
    """What shaders find on a chart at places [N, 3] of the template.

    Returns factors of the skin's colour [N, 3], and how its normals are bent on the template, to be added [N, 3].
    """
    around = np.arctan2(place[:, 0], place[:, 2] - AXIS_Z)
    column = ((around / (2 * REACH) + 0.5) * WIDTH - 0.5).astype(np.float32)
    row = ((place[:, 1] - BOTTOM) / (TOP - BOTTOM) * HEIGHT - 0.5).astype(np.float32)

    def at(image: NDArray[Any]) -> NDArray[Any]:
        planes = np.moveaxis(image.astype(np.float32), 2, 0)
        return np.stack([map_coordinates(plane, [row, column], order=1, mode="nearest") for plane in planes], 1)

    colour, relief = at(chart.colour) / 255 * 2, at(chart.relief)
    east = np.stack([np.cos(around), np.zeros_like(around), -np.sin(around)], 1)
    bent = -relief[:, :1] * east - relief[:, 1:2] * np.array([0, 1, 0])
    return np.asarray(colour[:, :3], np.float32), bent.astype(np.float32)
