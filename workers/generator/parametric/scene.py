"""Drawing one head: latents in, an image with alpha out."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.parametric import chart, faces, shaders, strands
from workers.generator.parametric.appearance import (
    brow_colour,
    hair_colour,
    hairline,
    headwear_colour,
    iris_colours,
    melanin_of_hair,
    shirt_colour,
    skin_colour,
    skin_colours,
    skin_tone,
    temples,
)
from workers.generator.parametric.canvas import SUPERSAMPLE, Canvas, Piece, caster, facing, mesh, ribbons
from workers.generator.parametric.composing import composed
from workers.generator.parametric.geometry import Vertices, load_head
from workers.generator.parametric.glasses import glasses
from workers.generator.parametric.hair import CUTS, groom, load_scalp
from workers.generator.parametric.lighting import read_light
from workers.generator.parametric.placement import CAMERA_DISTANCE, Placed, eyeball, gaze_directions, place_head
from workers.generator.parametric.regions import Mask, load_regions, scalp_mask
from workers.generator.parametric.scans.heads import ScanHeads
from workers.generator.parametric.shape import Latent, vertex_normals


@dataclass(frozen=True, kw_only=True)
class Render:
    """One drawn head."""

    rgb: NDArray[np.float32]
    """[H, W, 3] in [0, 1], display values: before its backdrop, as its camera took it."""
    head: NDArray[np.float32]
    """[H, W, 3] in [0, 1], over nothing: encoded light (see `develop`), multiplied by alpha."""
    alpha: NDArray[np.float32]
    """[H, W] in [0, 1]: how much of the head, not the backdrop, a pixel shows."""
    placed: Placed
    """Where it lies; landmarks are read off it."""


@dataclass(frozen=True, kw_only=True)
class _Skin:
    """The skin of one head, as what lies on it needs it."""

    points: Vertices
    """Subdivided and turned, [W, 3]."""
    normals: Vertices
    """[W, 3]"""
    seen: NDArray[np.bool_]
    """What the camera may see of it, [W]."""
    cage_normals: Vertices
    """Of the cage, not turned, [V, 3]."""
    line: tuple[float, float, float]
    """Elevation of the hairline, degrees; how much higher it is at the temples; how bare the crown, 0 to 1."""
    grown: Mask
    """Where hair grows, [W]."""


class Scene:
    """Everything that does not change from head to head."""

    def __init__(self) -> None:
        self.head = load_head()
        self.regions = load_regions()
        self.skin = self.regions.skin

    @cached_property
    def canvas(self) -> Canvas:
        """What it is drawn on, made when first used; raises NoGraphics."""
        return Canvas()

    @cached_property
    def _ball(self) -> tuple[Vertices, NDArray[Any]]:
        """The visible half of a unit sphere with its pole towards the viewer."""
        around, out = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, 0.62 * np.pi, 16))
        points = np.stack([np.sin(out) * np.cos(around), np.sin(out) * np.sin(around), np.cos(out)], -1)
        index = np.arange(around.size).reshape(around.shape)
        quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1)
        return points.reshape(-1, 3).astype(np.float32), quads.reshape(-1, 4)

    def draw(
        self, identity: Latent, observation: Latent, width: int, height: int, scans: ScanHeads | None = None
    ) -> Render:
        """Draw one head for z_I and z_O at width × height pixels; of scans' shapes where they are given."""
        placed = place_head(self.head, self.regions, identity, observation, width, height, scans)
        light = read_light(observation, skin_tone(identity))
        pieces = self.pieces(identity, observation, placed, width=width)
        drawn = pieces[0].uniforms["chart"]
        image = self.canvas.draw(
            pieces,
            projection=placed.projection,
            towards_light=light.direction,
            centre=placed.middle,
            width=width,
            height=height,
            textures={
                "chart_colour": drawn.colour,
                "chart_relief": drawn.relief,
                "surroundings": _four(light.panorama),
            },
            camera=placed.camera,
            key_colour=light.key,
            harmonics=light.harmonics,
            wrap=light.wrap,
            softness=light.softness,
        )
        head, alpha = image[..., :3], image[..., 3]
        return Render(rgb=composed(image, light, observation), head=head, alpha=alpha, placed=placed)

    def _chart(self, identity: Latent, observation: Latent) -> chart.Chart:
        brow, depth = strands.read_brow(identity), 0.25 + 0.5 * melanin_of_hair(identity)
        x, y = chart.places(self.skin)
        return chart.draw_chart(
            self.skin,
            identity,
            observation,
            melanin=skin_tone(identity),
            brow_shade=strands.brow_shade(brow, x, y, depth * (1 - 0.55 * skin_tone(identity))),
        )

    def pieces(
        self, identity: Latent, observation: Latent, placed: Placed, *, width: int = 128, all_round: bool = False
    ) -> list[Piece]:
        """Everything that there is to draw of one head, the skin first; `all_round` with what the camera cannot see."""
        points = self.skin.surface.refine(placed.posed)
        normals = vertex_normals(points, self.skin.faces)
        old = faces.oldness(identity, observation)
        thin = float(np.clip(0.9 * old * faces.between(faces.who(identity, "recession"), -0.3, 1.0), 0, 1))
        line = (hairline(identity, observation), temples(identity, observation), thin * bool(faces.is_male(identity)))
        skin = _Skin(
            points=points,
            normals=normals,
            seen=facing(points, normals, placed.camera) | all_round,
            cage_normals=vertex_normals(placed.still, self.skin.cage),
            line=line,
            grown=self.skin.scalp(*line),
        )
        finest = 2 * CAMERA_DISTANCE / placed.projection[0, 0] / (SUPERSAMPLE * width)
        pieces = [
            self._skin(identity, observation, placed, skin),
            # The cage throws the skin's shadow: four times fewer faces, and no eye can tell.
            caster(placed.posed, self.skin.cage),
        ]
        pieces += self._eyes(identity, observation, placed)
        pieces += self._mouth(placed.posed)
        pieces += self._short_strands(identity, observation, placed, skin.cage_normals, finest)
        if bool(faces.wears_headwear(identity, observation)):
            pieces.append(self._headwear(identity, skin))
        else:
            pieces += self._hair(identity, observation, placed, skin, finest)
        if bool(faces.wears_mask(observation)):
            pieces.append(self._mask(observation, skin))
        if bool(faces.wears_glasses(identity, observation)):
            wire, quads = glasses(self.head, self.regions, identity, placed.rest)
            tone = np.array([0.02, 0.02, 0.025])
            tone = tone + 0.12 * max(0.0, float(np.tanh(faces.who(identity, "frame_colour")))) * np.array([1, 0.6, 0.3])
            pieces.append(mesh(placed.follow(wire), quads, colours=tone, material=shaders.PLAIN, gloss=0.4))
        return pieces

    def _skin(self, identity: Latent, observation: Latent, placed: Placed, skin: _Skin) -> Piece:
        open_sky = self.regions.cavity(placed.still, skin.cage_normals)
        style = faces.HAIR_STYLES[int(faces.hair_style(identity))]
        turned = np.eye(4)
        turned[:3, :3] = placed.rotation
        return mesh(
            skin.points,
            self.skin.faces[skin.seen[self.skin.faces].any(1)],
            normals=skin.normals,
            colours=skin_colours(
                self.regions, identity, observation, skin.grown, {"bald": 0.05, "shaven": 0.4}.get(style, 0.7)
            ),
            place=self.skin.vertices,
            open_sky=self.skin.surface.refine(open_sky),
            material=shaders.SKIN,
            casts=False,
            turned=turned,
            chart=self._chart(identity, observation),
            fine=0.6 + 0.4 * faces.oldness(identity, observation),
            shirt=shirt_colour(observation),
        )

    def _hair(self, identity: Latent, observation: Latent, placed: Placed, skin: _Skin, finest: float) -> list[Piece]:
        """A dark cap close to the skull, locks over it, and what hangs down behind the ears."""
        style = faces.HAIR_STYLES[int(faces.hair_style(identity))]
        cut = CUTS.get(style)
        if cut is None:
            return []

        def latent(name: str) -> float:
            return float(faces.who(identity, f"hair_{name}"))

        colour = hair_colour(identity, observation)
        lift = cut.lift * float(np.exp(faces.bounded(latent("lift"), 0.22, 0.45)))
        day = float(np.tanh(faces.how(observation, "hair_day")))
        lift *= 1 + 0.12 * day  # a different day's hair
        curl = cut.curl * float(np.exp(faces.bounded(latent("wave"), 0.3, 0.6))) + 0.018 * max(
            0.0, latent("wave")
        ) ** 0.5 * (cut.points > 4)
        spread = 0.5 + 0.5 * float(1 / (1 + np.exp(-latent("shade"))))
        density = float(faces.between(latent("density"), 0.72, 1.25)) * (
            1 - 0.25 * faces.oldness(identity, observation)
        )
        grown = skin.grown
        under = skin.points + skin.normals * (cut.cap * lift * grown**3)[:, None]
        quads = self.skin.faces[((grown > 0) & skin.seen)[self.skin.faces].any(1)]
        pieces = [
            mesh(
                under,
                quads,
                place=self.skin.vertices,
                # Hair that stands hides the skull up to its edge.
                grown=np.clip(grown * (1 + 0.7 * cut.stands), 0, 1),
                material=shaders.CAP,
                hair_colour=(0.75 - 0.3 * min(1.0, 2 * cut.stands)) * colour,
                opacity=0.97,
            )
        ]
        combed = groom(load_scalp(self.skin), style)
        mask = scalp_mask(combed.azimuth, combed.elevation, *skin.line)
        kept = np.minimum(mask * density, 1) > combed.luck
        kept &= skin.seen[combed.corners].any((1, 2))
        # Low where it begins to grow, or it would stand off the temples like a helmet.
        points, out = combed.on(
            skin.points,
            skin.normals,
            lift,
            kept,
            rise=0.22 + 0.78 * np.clip(mask[kept], 0, 1) ** 1.5,
            curl=curl,
            turns=cut.turns,
            loose=float(faces.between(latent("loose"), 0.1, 0.9)),
        )
        shade = combed.shade[kept] ** (2 * spread)
        silver = float(faces.grey(identity, observation))
        mixed = (combed.phase[kept] * 7.3 % 1.0 < silver).astype(float) * min(silver, 1 - silver)
        colours = colour * shade[:, None] + mixed[:, None] * 0.25
        width = cut.width * (0.45 + 0.55 * np.clip(mask[kept] * 1.4, 0, 1))
        locks = ribbons(
            points,
            camera=placed.camera,
            width=width,
            colours=colours,
            out=out,
            root_shade=0.45,
            gloss=1.0,
            finest=finest,
            opacity=0.9,
        )
        pieces += [locks, _thrown(locks, len(points), points.shape[1])]
        if cut.bun:
            pieces.append(self._bun(placed, cut.bun, colour))
        if cut.hanging:
            pieces += self._hanging(placed, cut.hanging, colour, curl, finest)
        return pieces

    def _headwear(self, identity: Latent, skin: _Skin) -> Piece:
        """A knitted cap, pulled down to the ears."""
        line = np.interp(np.abs(self.skin.azimuth), [0, 45, 70, 100, 180], [25, 19, 8, 0, -30])
        worn = np.clip((self.skin.elevation - line) / 24 + 0.5, 0, 1) * (self.skin.radius > 0.4)
        ribs = 0.008 * np.sin(np.radians(self.skin.azimuth) * 40)
        rolled = np.exp(-(((self.skin.elevation - line - 6) / 6) ** 2))
        height = 0.085 + ribs + 0.03 * rolled
        quads = self.skin.faces[((worn > 0) & skin.seen)[self.skin.faces].any(1)]
        points = skin.points + skin.normals * height[:, None].astype(np.float32)
        return mesh(points, quads, colours=headwear_colour(identity), grown=worn, material=shaders.PLAIN, gloss=0.0)

    def _mask(self, observation: Latent, skin: _Skin) -> Piece:
        """A face mask over nose, mouth and chin."""
        x, y, z = np.abs(self.skin.vertices[:, 0]), self.skin.vertices[:, 1], self.skin.vertices[:, 2]
        top = np.interp(x, [0, 0.15, 0.4, 0.8], [7.16, 7.08, 7.0, 6.95])
        within = np.minimum(np.minimum(top - y, y - 6.22), 0.6 * (z - 0.45))
        worn = np.clip(within / 0.3 + 0.5, 0, 1) * self.skin.on_head * ~self.skin.pinna
        pleats = 0.012 * np.sin(60 * y)
        quads = self.skin.faces[((worn > 0) & skin.seen)[self.skin.faces].any(1)]
        points = skin.points + skin.normals * (0.045 + pleats)[:, None].astype(np.float32)
        white = 1 / (1 + np.exp(-3 * float(faces.how(observation, "shirt_hue"))))
        colour = np.array([0.30, 0.48, 0.62]) * (1 - white) + np.array([0.62, 0.62, 0.62]) * white
        return mesh(points, quads, colours=colour, grown=worn, material=shaders.PLAIN, gloss=0.0)

    def _bun(self, placed: Placed, radius: float, colour: NDArray[np.float64]) -> Piece:
        ball, quads = self._whole_ball
        rest = placed.rest[self.regions.on_head]
        middle = np.array([0.0, float(rest[:, 1].max()) + 0.35 * radius, float(rest[:, 2].mean()) - 0.75])
        wound = 1 + 0.06 * np.sin(9 * np.arctan2(ball[:, 0], ball[:, 2]) + 14 * ball[:, 1])
        points = (middle + ball * (radius * wound)[:, None] * np.array([1.15, 0.85, 1.1])).astype(np.float32)
        return mesh(
            placed.follow(points),
            quads,
            place=points,
            material=shaders.CAP,
            grown=0.97,
            open_sky=0.8,
            hair_colour=colour,
            opacity=1.0,
        )

    @cached_property
    def _whole_ball(self) -> tuple[Vertices, NDArray[Any]]:
        around, out = np.meshgrid(np.linspace(0, 2 * np.pi, 33), np.linspace(0, np.pi, 17))
        points = np.stack([np.sin(out) * np.cos(around), np.cos(out), np.sin(out) * np.sin(around)], -1)
        index = np.arange(around.size).reshape(around.shape)
        quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1)
        return points.reshape(-1, 3).astype(np.float32), quads.reshape(-1, 4)

    def _hanging(
        self, placed: Placed, length: float, colour: NDArray[np.float64], curl: float, finest: float
    ) -> list[Piece]:
        sheet, quads, locks, shade = strands.curtain(self.regions, length, placed.rest, curl)
        turned = placed.follow(locks)
        outwards = turned - placed.follow(np.array([[0.0, 7.0, 0.2]], np.float32))
        behind = mesh(
            placed.follow(sheet),
            quads,
            place=sheet,
            material=shaders.CAP,
            grown=0.95,
            open_sky=0.55,
            hair_colour=colour * 0.6,
            opacity=1.0,
        )
        fall = ribbons(
            turned,
            camera=placed.camera,
            width=0.020,
            colours=colour * shade[:, None],
            out=outwards,
            root_shade=0.8,
            gloss=1.0,
            finest=finest,
            opacity=0.9,
        )
        return [behind, fall, _thrown(fall, len(turned), turned.shape[1])]

    def _eyes(self, identity: Latent, observation: Latent, placed: Placed) -> list[Piece]:
        ball, quads = self._ball
        inner, outer = iris_colours(identity)
        size = 0.455 + float(faces.bounded(faces.who(identity, "iris_size"), 0.026, 0.055))
        old = faces.oldness(identity, observation)
        clear = float(faces.between(faces.who(identity, "sclera"), -1, 1))
        white = np.array([0.66, 0.635, 0.61]) + 0.09 * clear - old * np.array([0.04, 0.06, 0.10])
        white = white * (1 - 0.42 * skin_tone(identity))  # or exposure for dark skin would burn it out
        pieces = []
        edges = [strands.lid_edges(self.regions, placed.still, upper=upper) for upper in (True, False)]
        gazes = gaze_directions(observation, placed)
        for number, name in enumerate("lr"):
            gaze = gazes[number]
            cornea = 1 + 0.050 * np.exp(-((np.arccos(np.clip(ball @ gaze, -1, 1)) / 0.42) ** 2))
            middle, radius = eyeball(self.head, placed.still, name)
            whole = placed.follow((middle + ball * (radius * cornea)[:, None]).astype(np.float32))
            upper, lower = (_curve((edge[number] - middle) / radius) for edge in edges)
            pieces.append(
                mesh(
                    whole,
                    quads,
                    place=ball,
                    material=shaders.EYE,
                    casts=False,
                    gaze=gaze,
                    iris_inner=inner,
                    iris_outer=outer,
                    iris_size=size,
                    pupil_size=0.36,
                    limbal=float(faces.between(faces.who(identity, "limbal_ring"), 0.25, 0.85)),
                    fibres=float(faces.between(faces.who(identity, "iris_pattern"), 0.3, 0.9)),
                    white=white,
                    upper_lid=upper,
                    lower_lid=lower,
                    side=1.0 if middle[0] > 0 else -1.0,
                )
            )
        return pieces

    def _mouth(self, posed: Vertices) -> list[Piece]:
        return [
            mesh(
                posed,
                self.head.group_faces(group),
                colours=np.array(colour),
                material=shaders.PLAIN,
                gloss=0.1,
                open_sky=0.6,
                casts=False,
            )
            for group, colour in (
                ("helper-upper-teeth", (0.46, 0.42, 0.36)),
                ("helper-lower-teeth", (0.34, 0.31, 0.27)),
                ("helper-tongue", (0.20, 0.06, 0.06)),
            )
        ]

    def _short_strands(
        self, identity: Latent, observation: Latent, placed: Placed, normals: Vertices, finest: float
    ) -> list[Piece]:
        """Brows, lashes, beard."""
        still, camera, hair = placed.still, placed.camera, hair_colour(identity, observation)
        skin = skin_colour(identity)
        male = bool(faces.is_male(identity))
        made_up = float(np.clip(faces.who(identity, "eye_makeup") - 0.3, 0, 1.6)) * (not male)
        bundle = strands.brows(self.regions, identity, still, normals)
        lash = np.minimum(0.35 * hair, 0.02) * (1 - 0.5 * min(made_up, 1)) + 0.004
        edge = 0.011 + 0.003 * float(np.tanh(faces.who(identity, "lash_density"))) + 0.006 * made_up
        pieces = [
            ribbons(
                placed.follow(bundle),
                camera=camera,
                width=0.0034,
                colours=_mottled(brow_colour(identity, observation), bundle, 0.45),
                gloss=0.15,
                finest=finest,
                opacity=0.85,
                hides=False,
            ),
            ribbons(
                placed.follow(strands.lid_lines(self.regions, still, upper=True)),
                camera=camera,
                width=edge,
                colours=0.12 * skin * (1 - 0.6 * min(made_up, 1)) + 0.3 * lash,
                root_shade=1.0,
                gloss=0.0,
                finest=finest,
                opacity=0.85,
                hides=False,
            ),
            ribbons(
                placed.follow(strands.lid_lines(self.regions, still, upper=False)),
                camera=camera,
                width=0.008,
                colours=skin * np.array([0.55, 0.36, 0.34]) * (1 - 0.5 * min(made_up, 1)),
                root_shade=1.0,
                gloss=0.0,
                finest=finest,
                opacity=0.6,
                hides=False,
            ),
        ]
        pieces += [
            ribbons(
                placed.follow(strands.lashes(self.regions, identity, still, upper=upper)),
                camera=camera,
                width=0.0042 if upper else 0.0028,
                colours=lash,
                root_shade=1.0,
                gloss=0.0,
                finest=finest,
                hides=False,
            )
            for upper in (True, False)
        ]
        beard = strands.beard(self.regions, identity, still, normals)
        if beard is not None:
            colours = _mottled(hair * 0.85, beard, 0.4)
            pieces.append(
                ribbons(
                    placed.follow(beard),
                    camera=camera,
                    width=0.0045,
                    colours=colours,
                    gloss=0.3,
                    finest=finest,
                    hides=False,
                )
            )
        return pieces


def _curve(points: NDArray[Any]) -> NDArray[np.float64]:
    """Coefficients of the parabola y(x) through points [K, 3], from the constant up, [3]."""
    return np.asarray(np.polynomial.polynomial.polyfit(points[:, 0], points[:, 1], 2))


def _thrown(locks: Piece, count: int, length: int) -> Piece:
    """What a tuft of hair throws a shadow with: every third strand, three times as broad."""
    table = locks.table.reshape(count, length, 2, -1)[::3].copy()
    middle = table[..., 0:3].mean(2, keepdims=True)
    table[..., 0:3] = middle + 3 * (table[..., 0:3] - middle)
    triangles = locks.triangles.reshape(2, count, length - 1, 3)
    shift = (2 * length * (3 * np.arange(len(table)) - np.arange(len(table))))[None, :, None, None]
    kept = triangles[:, ::3] - shift
    return Piece(
        material=shaders.STRAND,
        table=table.reshape(-1, table.shape[-1]),
        triangles=kept.reshape(-1, 3).astype(np.int32),
        seen=False,
    )


def _four(panorama: NDArray[np.float32]) -> NDArray[np.float16]:
    """A panorama as a texture, [32, 64, 4]."""
    return np.concatenate([panorama, np.ones_like(panorama[..., :1])], 2).astype(np.float16)


def _mottled(colour: NDArray[np.float64], bundle: strands.Strands, share: float) -> NDArray[np.float64]:
    """Colours of strands [S, 3], each lighter or darker than its neighbours by up to a share."""
    shade = 1 - share + 2 * share * np.modf(np.arange(len(bundle)) * 0.618)[0]
    return np.asarray(colour * shade[:, None])


@lru_cache(maxsize=1)
def load_scene() -> Scene:
    """The scene of this process; raises HeadDataMissing."""
    return Scene()
