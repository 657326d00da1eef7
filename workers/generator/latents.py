"""What each latent means: layouts of z_I and z_O by name and version, and the maps from latents to physical values.

Legend: z_I is float [N, d_I], z_O is float [N, d_O]; every dimension is N(0, 1) before σ scales z_O. All maps to
physical values are monotone and bounded (through the normal CDF or tanh), so z_O = 0 is the calm frontal portrait
and a large σ saturates instead of exploding.

To make a layout of more dimensions, say version 2 with more identity and a factor `capture`:

1. Add `SECOND = Layout(version=2, …)` below, with every name of `FIRST` that still means what it meant; put it into
   LAYOUTS and let CURRENT be it. New names get constants of their own beside SEX … GAZE_UP. A factor is a name and the
   names of its dimensions; what stands in `mirrored` changes its sign when an image is flipped (None: never flip).
2. Where a formula becomes another one, keep the old for the layouts that had it (`if layout.version == 1`): networks
   were trained on what it gave, and reports read off it what was asked for. New flags come last, and `flags` counts
   them: a network of layout 1 goes on getting its 17.
3. Say `"layout": 2` in models/parametric/card.json, with its new sizes, raise `drawing` in parametric/__init__.py, and
   renew the golden pictures (tests/generator/test_golden.py). Models and corpora of layout 1 go on as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from app.dataset.model import ModelCard
from app.errors import Corrupt

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Names of all dimensions of z_I and z_O. A card says which layout its model has, as `latent.layout`."""

    version: int
    identity: int
    """Dimensions of z_I."""
    who: Mapping[str, int]
    """Name to dimension of z_I, where one has a meaning of its own."""
    shape: range
    """Dimensions of z_I that spread over the head's whole shape; some have a further meaning in `who`."""
    how: Mapping[str, tuple[str, ...]]
    """Factor to the names of its dimensions of z_O, all in order; no name comes twice."""
    mirrored: frozenset[str] | None
    """Dimensions of z_O that change their sign when an image is flipped left to right, where identities are symmetric;
    None where they are not: a flipped image then shows somebody else, whom no latents of this layout describe."""
    flags: int
    """So many columns of `derived_flags` belong to it."""

    @cached_property
    def factors(self) -> dict[str, tuple[int, int]]:
        """Factor to [start, stop) within z_O, as a card lists them."""
        found, start = {}, 0
        for factor, names in self.how.items():
            found[factor] = (start, start + len(names))
            start += len(names)
        return found

    @cached_property
    def dimensions(self) -> dict[str, int]:
        """Name to dimension of z_O."""
        return {name: place for place, name in enumerate(name for names in self.how.values() for name in names)}

    @property
    def observation(self) -> int:
        """Dimensions of z_O."""
        return len(self.dimensions)

    @cached_property
    def mirror(self) -> NDArray[np.float32] | None:
        """Signs by which z_O is multiplied when an image is flipped, float32 [d_O]; None where none may be flipped."""
        if self.mirrored is None:
            return None
        return np.array([-1 if name in self.mirrored else 1 for name in self.dimensions], np.float32)

    def of_who(self, identity: Floats, name: str) -> Floats:
        """One named dimension of z_I [..., d_I] → [...]."""
        return np.asarray(identity[..., self.who[name]])

    def of_how(self, observation: Floats, name: str) -> Floats:
        """One named dimension of z_O [..., d_O] → [...]."""
        return np.asarray(observation[..., self.dimensions[name]])

    def factor(self, observation: Floats, name: str) -> Floats:
        """A factor's part of z_O [..., d_O] → [..., size of the factor]."""
        return observation[..., slice(*self.factors[name])]


FIRST = Layout(
    version=1,
    identity=64,
    who={
        "sex": 0,
        "age": 1,
        "skin_tone": 2,
        "glasses": 3,
        "ancestry": 4,
        "muscle": 5,
        "weight": 6,
        "hair_colour": 7,
        "hair_style": 8,
        "hair_red": 9,
        "hairline": 10,
        "brow_width": 11,
        "brow_arch": 12,
        "beard": 13,
        "iris": 14,
        "lip_colour": 15,
        "redness": 16,
        "marks": 17,
        # What follows lies within the shape's dimensions, and shares them.
        "outline_across": 18,
        "outline_along": 19,
        "rim_squareness": 20,
        "rim_width": 21,
        "rim_height": 22,
        "frame_tone": 23,
        "gloss": 24,
        "mark_places": 25,
    },
    shape=range(18, 64),
    how={
        "pose": ("yaw", "pitch"),
        "expression": ("smile", "lips", "brows", "lids", "pucker", "jaw"),
        "illumination": (
            "key_azimuth",
            "key_elevation",
            "key_strength",
            "key_warmth",
            "sky_strength",
            "sky_tint",
            "ground_strength",
            "key_wrap",
        ),
        "accessories": ("glasses_off",),
        "age_offset": ("age_offset",),
        "background": (
            "backdrop_slope",
            "backdrop_level",
            "backdrop_hue",
            "backdrop_vignette",
            "backdrop_panes",
            "backdrop_place",
        ),
        "residual": ("gaze_side", "hair_lift", "shirt_level", "gaze_up"),
    },
    mirrored=frozenset({"yaw", "key_azimuth", "backdrop_slope", "gaze_side"}),
    flags=17,
)

_SECOND_NAMES = (
    "sex",
    "age",
    "skin_tone",
    "glasses",
    "ancestry",
    "muscle",
    "weight",
    "undertone",
    "redness",
    "freckles",
    "moles",
    "shine",
    "lip_redness",
    "lip_depth",
    "lip_edge",
    "eye_rings",
    "eye_flush",
    "stubble",
    "pores",
    "iris",
    "iris_depth",
    "iris_size",
    "iris_pattern",
    "limbal_ring",
    "sclera",
    "lid_opening",
    "lid_fold",
    "lid_fold_height",
    "lid_slant",
    "eye_bags",
    "lash_length",
    "lash_density",
    "eye_makeup",
    "brow_height",
    "brow_inner",
    "brow_slope",
    "brow_arch",
    "brow_tail",
    "brow_length",
    "brow_thickness",
    "brow_density",
    "brow_taper",
    "brow_depth",
    "brow_wildness",
    "brow_lie",
    "hair_style",
    "hair_depth",
    "hair_red",
    "hair_grey",
    "hairline",
    "recession",
    "temples",
    "hair_density",
    "hair_lift",
    "hair_wave",
    "hair_shade",
    "hair_loose",
    "parting",
    "beard",
    "moustache",
    "beard_length",
    "beard_edge",
    "beard_depth",
    "beard_patches",
    "nasolabial",
    "forehead_lines",
    "frown_lines",
    "crow_feet",
    "jowls",
    "eye_age",
    "frame_shape",
    "frame_width",
    "frame_height",
    "frame_colour",
    "headwear",
    "headwear_colour",
)

SECOND_BLOCKS = {"shape": 52, "asymmetry": 12, "form": 12, "colour": 14, "relief": 12, "marks": 12}
"""Names of several dimensions of the second layout's z_I each; but for the shape's they end in their number: form_3."""


def _second() -> Layout:
    names = list(_SECOND_NAMES)
    for block, size in SECOND_BLOCKS.items():
        names += [f"{block}_{number}" for number in range(size)]
    who = {name: place for place, name in enumerate(names)}
    first = who["shape_0"]
    return Layout(
        version=2,
        identity=len(names),
        who={name: place for name, place in who.items() if not name.startswith("shape_")},
        shape=range(first, first + SECOND_BLOCKS["shape"]),
        how={
            "pose": ("yaw", "pitch", "roll"),
            "expression": ("smile", "lips", "brows", "lids", "pucker", "jaw"),
            "illumination": (
                "key_azimuth",
                "key_elevation",
                "key_strength",
                "key_warmth",
                "sky_strength",
                "sky_tint",
                "ground_strength",
                "key_wrap",
                "place_x",
                "place_y",
                "place_z",
            ),
            "accessories": ("glasses_off", "headwear_off", "mask_on"),
            "age_offset": ("age_offset",),
            "background": (
                "backdrop_turn",
                "backdrop_level",
                "backdrop_hue",
                "backdrop_vignette",
                "backdrop_blur",
                "backdrop_plain",
            ),
            "residual": ("gaze_side", "hair_day", "shirt_level", "shirt_hue", "gaze_up"),
            "capture": ("blur", "noise", "exposure", "white_balance", "compression", "resolution", "sharpening"),
        },
        mirrored=None,  # skin, brows and bones of a face have two sides
        flags=len(FLAG_NAMES),
    )


AGE_YEARS = (19.0, 70.0)
SKIN_DEPTHS = (0.02, 0.98)
"""Of the lightest and the darkest skin of the second layout, 0 to 1; evenly between them."""

GLASSES_THRESHOLD = 0.8416
"""A fifth of all identities wear glasses."""

HEADWEAR_THRESHOLD = 1.5
"""One identity in fifteen covers the hair."""

MASK_THRESHOLD = 3.0
"""One sample in 740 at σ = 1 wears a face mask."""

TAKEN_OFF = 1.0
"""A wearer takes the glasses off where the accessories latent is above this (one sample in six at σ = 1)."""

_FIRST_STYLES = ("bald", "crop", "short", "parted", "swept", "bob", "long")

_LATER_STYLES = (
    "shaven", "fringe", "quiff", "curly-short", "afro", "tied", "bun", "pixie", "curly-long", "wavy-long",
)  # fmt: skip

HAIR_STYLES = (*_FIRST_STYLES, *_LATER_STYLES)
"""The first layout has the first seven."""

MEN = (
    "bald", "shaven", "crop", "crop", "short", "short", "fringe", "parted", "swept", "quiff", "curly-short", "afro",
    "tied",
)  # fmt: skip
WOMEN = (
    "pixie", "short", "parted", "curly-short", "afro", "tied", "tied", "bun", "bob", "bob", "curly-long", "long",
    "long", "wavy-long", "wavy-long",
)  # fmt: skip
"""What men and women wear in the second layout, from the lowest latent to the highest, each as often."""

IRISES = ("brown", "hazel", "green", "blue")

FLAG_NAMES = (
    *_FIRST_STYLES, *IRISES, "sex", "beard", "glasses", "grey", "age", "skin_tone", *_LATER_STYLES, "headwear", "mask",
)  # fmt: skip
"""Columns of `derived_flags`, in order; later layouts add theirs behind them."""

GLASSES_FLAG = FLAG_NAMES.index("glasses")
"""The column that says whether glasses are on; 2 where they are."""

SECOND = _second()

LAYOUTS: Mapping[int, Layout] = {layout.version: layout for layout in (FIRST, SECOND)}
"""By version, as cards and corpora name them."""

CURRENT = SECOND
"""What the renderer draws and new corpora have."""

IDENTITY, OBSERVATION, FACTORS = CURRENT.identity, CURRENT.observation, CURRENT.factors

SEX, AGE, SKIN_TONE, GLASSES = (CURRENT.who[name] for name in ("sex", "age", "skin_tone", "glasses"))
"""Dimensions of one z_I [d_I]."""


def attributes(layout: Layout = CURRENT) -> dict[str, dict[str, Any]]:
    """How a model card says which dimension of z_I each attribute is read off."""
    found = {
        "sex": {"kind": "choice", "latent": layout.who["sex"], "values": {"female": [None, 0.0], "male": [0.0, None]}},
        "age": {
            "kind": "range",
            "latent": layout.who["age"],
            "min": AGE_YEARS[0],
            "max": AGE_YEARS[1],
            "unit": "years",
        },
        "skin_tone": {
            "kind": "choice",
            "latent": layout.who["skin_tone"],
            "values": {"light": [None, -0.4307], "medium": [-0.4307, 0.4307], "dark": [0.4307, None]},
        },
        "glasses": {"kind": "share", "latent": layout.who["glasses"], "threshold": GLASSES_THRESHOLD},
    }
    if "headwear" in layout.who:
        found["headwear"] = {"kind": "share", "latent": layout.who["headwear"], "threshold": HEADWEAR_THRESHOLD}
    return found


def skin_depth(z: Floats | float) -> Floats:
    """Skin tone of the second layout's latent, 0 (lightest) to 1 (darkest)."""
    return between(np.asarray(z), *SKIN_DEPTHS)


def scales(layout: Layout = CURRENT) -> dict[str, dict[str, Any]]:
    """How a model card says what published scales call the values of its attributes.

    The Monk skin tone scale's ten (Ellis Monk, skintone.google) are ten equal steps of the skin tone's depth: its
    order is kept, its colour chips are not matched.
    """
    if layout is not SECOND:
        return {}
    low, high = SKIN_DEPTHS
    ends = [None, *(round(float(ndtri((step / 10 - low) / (high - low))), 4) for step in range(1, 10)), None]
    values = {f"monk-{step + 1}": [ends[step], ends[step + 1]] for step in range(10)}
    return {"monk": {"attribute": "skin_tone", "values": values}}


def worn(layout: Layout = CURRENT) -> dict[str, dict[str, Any]]:
    """How a model card says which dimension of z_O decides what any image may show."""
    if "mask_on" not in layout.dimensions:
        return {}
    return {"mask": {"latent": layout.dimensions["mask_on"], "threshold": MASK_THRESHOLD}}


class Pose(NamedTuple):
    """How a head was asked to be turned, degrees."""

    yaw: Floats
    """To its left, within ±50."""
    pitch: Floats
    """Downwards, within ±22."""


def layout_of(card: ModelCard) -> Layout | None:
    """The layout of a model's latents; None for latents that are not ours, of which nothing is known.

    A card of before names none, and has the first layout where it lists the first layout's latents. Raises Corrupt for
    a layout that this version does not know, or that has other latents than the card lists.
    """
    version = card.latent.layout
    layout = FIRST if version is None else LAYOUTS.get(version)
    if layout is None:
        known = ", ".join(map(str, LAYOUTS))
        raise Corrupt(f"model {card.name!r} has latents of layout {version}; this version knows {known}")
    if (card.latent.identity, dict(card.latent.observation)) == (layout.identity, layout.factors):
        return layout
    if version is None:
        return None
    raise Corrupt(
        f"model {card.name!r} says that it has latents of layout {version}, and lists others: {card.latent.identity} "
        f"and {dict(card.latent.observation)} instead of {layout.identity} and {layout.factors}"
    )


def asked_pose(card: ModelCard, observation: Floats) -> Pose | None:
    """The pose that z_O [..., d_O], σ included, asks of a model, [...]; None where its latents are not ours."""
    layout = layout_of(card)
    return None if layout is None else pose_of(observation, layout)


def between(z: Floats, low: float, high: float) -> Floats:
    """Map N(0, 1) uniformly onto [low, high]."""
    return np.asarray(low + (high - low) * ndtr(z))


def bounded(z: Floats, per_sigma: float, limit: float) -> Floats:
    """Map a latent to `per_sigma` units a σ near 0, never beyond ±limit."""
    return np.asarray(limit * np.tanh(per_sigma / limit * np.asarray(z)))


def pose_of(observation: Floats, layout: Layout = CURRENT) -> Pose:
    """The pose that z_O [..., d_O] asks for, [...]."""
    yaw, pitch = layout.of_how(observation, "yaw"), layout.of_how(observation, "pitch")
    return Pose(bounded(yaw, 15.0, 50.0), bounded(pitch, 6.5, 22.0))


def age_years(identity: Floats, observation: Floats, layout: Layout = CURRENT) -> Floats:
    """Apparent age of a sample, years: the identity's own plus an offset of about 5 a σ, within ±12."""
    own = between(layout.of_who(identity, "age"), *AGE_YEARS)
    return np.clip(own + bounded(layout.of_how(observation, "age_offset"), 5.0, 12.0), 16.0, 80.0)


def masculinity(identity: Floats, layout: Layout = CURRENT) -> Floats:
    """0 (female) to 1 (male); the sign of the latent decides, and the middle is avoided."""
    z = layout.of_who(identity, "sex")
    return np.where(z < 0, 0.28 * ndtr(2 * z) * 2, 1 - 0.28 * ndtr(-2 * z) * 2)


def ancestry(identity: Floats, layout: Layout = CURRENT) -> Floats:
    """Shares (african, asian, caucasian) of the head's base shape, [..., 3]; they follow the skin tone loosely."""
    tone, other = layout.of_who(identity, "skin_tone"), layout.of_who(identity, "ancestry")
    logits = np.stack([2.2 * tone - 0.3, 1.7 * other - 0.3 * tone, -1.1 * tone - 1.1 * other], -1)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def wears_glasses(identity: Floats, observation: Floats, layout: Layout = CURRENT) -> NDArray[np.bool_]:
    """Whether glasses are on the face in a sample."""
    wearer = layout.of_who(identity, "glasses") >= GLASSES_THRESHOLD
    return np.asarray(wearer & (layout.of_how(observation, "glasses_off") <= TAKEN_OFF))


def wears_headwear(identity: Floats, observation: Floats, layout: Layout = CURRENT) -> NDArray[np.bool_]:
    """Whether a scarf or cap covers the hair in a sample; the first layout has none."""
    if "headwear" not in layout.who:
        return np.zeros(np.shape(identity)[:-1], bool)
    wearer = layout.of_who(identity, "headwear") >= HEADWEAR_THRESHOLD
    return np.asarray(wearer & (layout.of_how(observation, "headwear_off") <= TAKEN_OFF))


def wears_mask(observation: Floats, layout: Layout = CURRENT) -> NDArray[np.bool_]:
    """Whether a face mask covers nose and mouth in a sample; the first layout has none."""
    if "mask_on" not in layout.dimensions:
        return np.zeros(np.shape(observation)[:-1], bool)
    return np.asarray(layout.of_how(observation, "mask_on") >= MASK_THRESHOLD)


def hair_style(identity: Floats, layout: Layout = CURRENT) -> NDArray[np.intp]:
    """Index into HAIR_STYLES; men's and women's differ."""
    z = layout.of_who(identity, "hair_style")
    male = layout.of_who(identity, "sex") >= 0
    if "hair_wave" not in layout.who:
        men = np.searchsorted([-1.35, -0.6, 0.15, 0.9], z)
        women = 3 + np.searchsorted([-1.0, -0.4, 0.2], z)
        return np.where(male, men, women)
    share = np.clip(ndtr(z), 0, 1 - 1e-9)
    worn = [np.array([HAIR_STYLES.index(style) for style in styles]) for styles in (MEN, WOMEN)]
    return np.where(male, *(styles[(share * len(styles)).astype(int)] for styles in worn))


def beard(identity: Floats, layout: Layout = CURRENT) -> Floats:
    """Density of the beard, 0 to 1; none on women and on about half of the men."""
    male = layout.of_who(identity, "sex") >= 0
    return np.clip(1.8 * (ndtr(layout.of_who(identity, "beard")) - 0.5), 0, 1) * male


def grey(identity: Floats, observation: Floats, layout: Layout = CURRENT) -> Floats:
    """Share of grey in the hair, 0 to 1; it follows the identity's own age far more than a sample's offset."""
    own = between(layout.of_who(identity, "age"), *AGE_YEARS)
    years = own + 0.3 * (age_years(identity, observation, layout) - own)
    if "hair_grey" not in layout.who:
        return np.clip((years - 50) / 20 + 0.2 * layout.of_who(identity, "hair_red"), 0, 1)
    return np.clip((years - 48 - 9 * layout.of_who(identity, "hair_grey")) / 18, 0, 1)


def iris_class(identity: Floats, layout: Layout = CURRENT) -> NDArray[np.intp]:
    """Index into IRISES; the darker the skin, the more often brown."""
    shifted = layout.of_who(identity, "iris") - 1.2 * np.maximum(layout.of_who(identity, "skin_tone") + 0.5, 0)
    return np.searchsorted([0.1, 0.5, 0.9], shifted)


def derived_flags(identity: Floats, observation: Floats, layout: Layout = CURRENT) -> NDArray[np.float32]:
    """What thresholds decide, as features for a network, float32 [N, flags of the layout].

    FLAG_NAMES names the columns: hair style one-hot, iris one-hot, then sex (±1), beard (0 to 2), glasses on (0 or 2),
    grey (0 to 2), age (±1), skin tone (±1); then the second layout's further styles, headwear and mask (0 or 2).
    """
    styles = np.eye(len(HAIR_STYLES))[hair_style(identity, layout)]
    columns = [
        styles[..., : len(_FIRST_STYLES)],
        np.eye(len(IRISES))[iris_class(identity, layout)],
        np.stack(
            [
                np.where(layout.of_who(identity, "sex") >= 0, 1.0, -1.0),
                2 * beard(identity, layout),
                2.0 * wears_glasses(identity, observation, layout),
                2 * grey(identity, observation, layout),
                (age_years(identity, observation, layout) - 45) / 25,
                2 * ndtr(layout.of_who(identity, "skin_tone")) - 1,
            ],
            -1,
        ),
        styles[..., len(_FIRST_STYLES) :],
        2.0 * wears_headwear(identity, observation, layout)[..., None],
        2.0 * wears_mask(observation, layout)[..., None],
    ]
    return np.concatenate(columns, -1)[..., : layout.flags].astype(np.float32)
