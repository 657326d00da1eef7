"""Drawing one head: latents in, an image with alpha out."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator import latents as lt
from workers.generator.background import background
from workers.generator.parametric import shaders, strands
from workers.generator.parametric.appearance import (
    IRIS_COLOURS,
    hair_colour,
    hairline,
    skin_colour,
    skin_colours,
    skin_tone,
)
from workers.generator.parametric.canvas import Canvas, Piece, caster, facing, mesh, ribbons
from workers.generator.parametric.geometry import Vertices, load_head
from workers.generator.parametric.glasses import glasses
from workers.generator.parametric.hair import CUTS, groom, load_scalp
from workers.generator.parametric.lighting import read_light
from workers.generator.parametric.placement import Placed, gaze_direction, place_head
from workers.generator.parametric.regions import Mask, load_regions, scalp_mask
from workers.generator.parametric.shape import Latent, vertex_normals

SHIRT = (lt.SHIRT_LEVEL, lt.GAZE_UP, lt.GAZE_UP)
"""Latents of the shirt's red, green and blue: the layout has no more of its own for it."""


@dataclass(frozen=True, kw_only=True)
class Render:
    """One drawn head."""

    rgb: NDArray[np.float32]
    """[H, W, 3] in [0, 1], over its backdrop."""
    head: NDArray[np.float32]
    """[H, W, 3] in [0, 1], over nothing: multiplied by alpha."""
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
    front: float
    """Elevation of the hairline, degrees."""
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

    def draw(self, identity: Latent, observation: Latent, width: int, height: int) -> Render:
        """Draw one head for z_I [64] and z_O [28] at width × height pixels."""
        placed = place_head(self.head, self.regions, identity, observation, width, height)
        light = read_light(observation)
        image = self.canvas.draw(
            self.pieces(identity, observation, placed),
            projection=placed.projection,
            towards_light=light.direction,
            centre=placed.middle,
            width=width,
            height=height,
            camera=placed.camera,
            key_colour=light.key,
            sky=light.sky,
            ground=light.ground,
            wrap=light.wrap,
            softness=light.softness,
        )
        head, alpha = image[..., :3], image[..., 3]
        backdrop = background(lt.CURRENT.factor(observation, "background"), height, width)
        return Render(rgb=head + (1 - alpha[..., None]) * backdrop, head=head, alpha=alpha, placed=placed)

    def pieces(self, identity: Latent, observation: Latent, placed: Placed, *, all_round: bool = False) -> list[Piece]:
        """Everything that there is to draw of one head; `all_round` with what the camera cannot see."""
        points = self.skin.surface.refine(placed.posed)
        normals = vertex_normals(points, self.skin.faces)
        front = hairline(identity, observation)
        skin = _Skin(
            points=points,
            normals=normals,
            seen=facing(points, normals, placed.camera) | all_round,
            cage_normals=vertex_normals(placed.still, self.skin.cage),
            front=front,
            grown=self.skin.scalp(front),
        )
        pieces = [
            self._skin(identity, observation, placed, skin),
            # The cage throws the skin's shadow: four times fewer faces, and no eye can tell.
            caster(placed.posed, self.skin.cage),
        ]
        pieces += self._hair(identity, observation, placed, skin)
        pieces += self._eyes(identity, observation, placed)
        pieces += self._mouth(placed.posed)
        pieces += self._short_strands(identity, observation, placed, skin.cage_normals)
        if bool(lt.wears_glasses(identity, observation)):
            wire, quads = glasses(self.head, self.regions, identity, placed.rest)
            tone = np.array([0.02, 0.02, 0.025])
            tone = tone + 0.12 * max(0.0, float(np.tanh(identity[lt.FRAME_TONE]))) * np.array([1, 0.6, 0.3])
            pieces.append(mesh(placed.follow(wire), quads, colours=tone, material=shaders.PLAIN, gloss=0.4))
        return pieces

    def _skin(self, identity: Latent, observation: Latent, placed: Placed, skin: _Skin) -> Piece:
        open_sky = self.regions.cavity(placed.still, skin.cage_normals)
        return mesh(
            skin.points,
            self.skin.faces[skin.seen[self.skin.faces].any(1)],
            normals=skin.normals,
            colours=skin_colours(self.regions, identity, observation, skin.grown),
            place=self.skin.vertices,
            open_sky=self.skin.surface.refine(open_sky),
            material=shaders.SKIN,
            casts=False,
            gloss=(0.17 + 0.06 * float(np.tanh(identity[lt.GLOSS]))) * (1 - 0.35 * skin_tone(identity)),
            age=float(np.clip((lt.age_years(identity, observation) - 32) / 38, 0, 1)),
            marks=float(lt.bounded(identity[lt.MARKS], 1.0, 1.5)),
            seed=float(lt.bounded(identity[lt.MARK_PLACES], 1.0, 3.0)),
            shirt=0.03 + 0.5 * np.array([float(lt.between(observation[k], 0, 1)) for k in SHIRT]) ** 1.5,
        )

    def _hair(self, identity: Latent, observation: Latent, placed: Placed, skin: _Skin) -> list[Piece]:
        """A dark cap close to the skull, locks over it, and what hangs down behind the ears."""
        style = lt.HAIR_STYLES[int(lt.hair_style(identity))]
        cut = CUTS.get(style)
        if cut is None:
            return []
        colour = hair_colour(identity, observation)
        lift = cut.lift * (1 + 0.25 * float(np.tanh(identity[lt.HAIR_RED])))
        lift *= 1 + 0.25 * float(np.tanh(observation[lt.HAIR_LIFT]) * 0.5)  # a different day's hair
        grown = skin.grown
        under = skin.points + skin.normals * (0.45 * lift * grown**2)[:, None]
        faces = self.skin.faces[((grown > 0) & skin.seen)[self.skin.faces].any(1)]
        pieces = [mesh(under, faces, place=self.skin.vertices, grown=grown, material=shaders.CAP, hair_colour=colour)]
        combed = groom(load_scalp(self.skin), style)
        kept = scalp_mask(combed.azimuth, combed.elevation, skin.front) > combed.luck
        kept &= skin.seen[combed.corners].any((1, 2))
        points, out = combed.on(skin.points, skin.normals, lift, kept)
        colours = colour * combed.shade[kept][:, None]
        pieces.append(
            ribbons(points, camera=placed.camera, width=cut.width, colours=colours, out=out, root_shade=0.5, gloss=1.0)
        )
        if cut.hanging:
            sheet, quads, locks, shade = strands.curtain(self.regions, cut.hanging, placed.rest)
            pieces.append(
                mesh(
                    placed.follow(sheet),
                    quads,
                    place=sheet,
                    material=shaders.CAP,
                    grown=0.95,
                    open_sky=0.6,
                    hair_colour=colour * 0.8,
                )
            )
            turned = placed.follow(locks)
            outwards = turned - placed.follow(np.array([[0.0, 7.0, 0.2]], np.float32))
            pieces.append(
                ribbons(
                    turned,
                    camera=placed.camera,
                    width=0.034,
                    colours=colour * shade[:, None],
                    out=outwards,
                    root_shade=0.9,
                    gloss=1.0,
                )
            )
        return pieces

    def _eyes(self, identity: Latent, observation: Latent, placed: Placed) -> list[Piece]:
        ball, quads = self._ball
        gaze = gaze_direction(observation)
        iris = IRIS_COLOURS[int(lt.iris_class(identity))] * 1.1
        cornea = 1 + 0.045 * np.exp(-((np.arccos(np.clip(ball @ gaze, -1, 1)) / 0.42) ** 2))
        pieces = []
        for name in "lr":
            points = placed.still[self.head.group_vertices(f"helper-{name}-eye")]
            low, high = points.min(0), points.max(0)
            bulging = ball * (float((high - low)[:2].mean()) / 2 * cornea)[:, None]
            whole = placed.follow(((low + high) / 2 + bulging).astype(np.float32))
            pieces.append(mesh(whole, quads, place=ball, material=shaders.EYE, casts=False, iris=iris, gaze=gaze))
        return pieces

    def _mouth(self, posed: Vertices) -> list[Piece]:
        return [
            mesh(
                posed,
                self.head.group_faces(group),
                colours=np.array(colour),
                material=shaders.PLAIN,
                gloss=0.1,
                open_sky=0.7,
                casts=False,
            )
            for group, colour in (
                ("helper-upper-teeth", (0.46, 0.43, 0.38)),
                ("helper-lower-teeth", (0.36, 0.33, 0.29)),
                ("helper-tongue", (0.20, 0.06, 0.06)),
            )
        ]

    def _short_strands(self, identity: Latent, observation: Latent, placed: Placed, normals: Vertices) -> list[Piece]:
        """Brows, lashes, beard."""
        still, camera, hair = placed.still, placed.camera, hair_colour(identity, observation)
        skin = skin_colour(skin_tone(identity))
        brow_colour = 0.8 * hair + 0.1 * skin
        bundle = strands.brows(self.regions, identity, still, normals)
        male = bool(identity[lt.SEX] >= 0)
        pieces = [
            ribbons(
                placed.follow(bundle), camera=camera, width=0.009, colours=_mottled(brow_colour, bundle, 0.3), gloss=0.2
            ),
            ribbons(
                placed.follow(strands.lid_lines(self.regions, still)),
                camera=camera,
                width=0.012 if male else 0.018,
                colours=0.25 * skin * (1.0 if male else 0.4),
                root_shade=1.0,
                gloss=0.0,
            ),
            ribbons(
                placed.follow(strands.lashes(self.regions, still, male)),
                camera=camera,
                width=0.005 if male else 0.006,
                colours=np.full(3, 0.012),
                root_shade=1.0,
                gloss=0.0,
            ),
        ]
        beard = strands.beard(self.regions, identity, still, normals)
        if beard is not None:
            colours = _mottled(hair * 0.9, beard, 0.35)
            pieces.append(ribbons(placed.follow(beard), camera=camera, width=0.010, colours=colours, gloss=0.4))
        return pieces


def _mottled(colour: NDArray[np.float64], bundle: strands.Strands, share: float) -> NDArray[np.float64]:
    """Colours of strands [S, 3], each lighter or darker than its neighbours by up to a share."""
    shade = 1 - share + 2 * share * np.modf(np.arange(len(bundle)) * 0.618)[0]
    return np.asarray(colour * shade[:, None])


@lru_cache(maxsize=1)
def load_scene() -> Scene:
    """The scene of this process; raises HeadDataMissing."""
    return Scene()
