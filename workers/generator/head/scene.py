"""Drawing one head: latents in, an image with alpha out.

Drawn by OpenGL 3.3 through EGL, on a GPU or by Mesa's software rasteriser; no window is opened. One context a
process, made on first use.
"""

import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import FacsimileError
from workers.generator import latents as lt
from workers.generator.head import shaders, strands
from workers.generator.head.appearance import IRIS_COLOURS, hair_colour, hairline, skin_colours
from workers.generator.head.background import background
from workers.generator.head.geometry import Vertices, load_head
from workers.generator.head.glasses import glasses
from workers.generator.head.lighting import Light, read_light
from workers.generator.head.placement import Placed, gaze_direction, place_head
from workers.generator.head.regions import load_regions
from workers.generator.head.shape import Latent, vertex_normals

SUPERSAMPLE = 2


class NoGraphics(FacsimileError):
    """No OpenGL context can be made."""


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


class Scene:
    """An OpenGL context with everything that does not change from head to head."""

    def __init__(self) -> None:
        # One thread a process: processes, not threads, are what fills the cores best.
        os.environ.setdefault("LP_NUM_THREADS", "1")
        import moderngl

        try:
            self._gl = moderngl.create_context(standalone=True, backend="egl", require=330)  # type: ignore[arg-type]
        except Exception as exc:
            raise NoGraphics(
                f"no OpenGL context through EGL ({exc}); on Debian or Ubuntu: "
                "apt-get install libgl1 libegl1 libegl-mesa0 libgl1-mesa-dri"
            ) from exc
        self._strip = moderngl.LINES
        self._program: Any = self._gl.program(vertex_shader=shaders.VERTEX, fragment_shader=shaders.FRAGMENT)
        self._gl.enable(moderngl.DEPTH_TEST)
        self._buffers: dict[tuple[int, int], Any] = {}
        self.head = load_head()
        self.regions = load_regions()

    @property
    def renderer(self) -> str:
        """What draws: a GPU's name, or Mesa's software rasteriser."""
        return str(self._gl.info["GL_RENDERER"])

    @cached_property
    def _skin_faces(self) -> NDArray[Any]:
        """Faces of head, neck and shoulders: the rest of the body is never seen."""
        v, faces = self.head.vertices, self.head.body_faces
        seen = (v[faces][:, :, 1] > 4.6).all(1) & (np.abs(v[faces][:, :, 0]) < 2.4).all(1)
        return np.asarray(faces[seen])

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
        head, regions = self.head, self.regions
        placed = place_head(head, regions, identity, observation, width, height)
        rest, posed_face, posed, follow = placed.rest, placed.still, placed.posed, placed.follow
        eyes = list(placed.eyes)
        light = read_light(observation)
        frame = self._frame(width * SUPERSAMPLE, height * SUPERSAMPLE)
        frame.use()
        frame.clear(0.0, 0.0, 0.0, 0.0)
        self._set_light(light, placed.camera, placed.projection)
        self._set(hair_colour=hair_colour(identity, observation))

        age = float(np.clip((lt.age_years(identity, observation) - 32) / 38, 0, 1))
        self._draw_skin(identity, observation, posed, posed_face, light, age)
        face_normals = vertex_normals(posed_face, head.body_faces)
        self._draw_cap(identity, observation, posed, rest)
        self._draw_eyes(identity, observation, eyes, posed_face, follow)
        self._draw_mouth(posed)
        self._draw_strands(identity, observation, posed_face, face_normals, follow)
        style = lt.HAIR_STYLES[int(lt.hair_style(identity))]
        hanging = strands.curtain(regions, style, rest)
        if hanging is not None:
            self._mesh(follow(hanging[0]), hanging[1], place=hanging[0], material=shaders.CAP, grown=0.95)
        if bool(lt.wears_glasses(identity, observation)):
            wire, quads = glasses(head, regions, identity, rest)
            tone = np.array([0.02, 0.02, 0.025]) + 0.12 * max(0.0, float(np.tanh(identity[23]))) * np.array(
                [1, 0.6, 0.3]
            )
            self._mesh(follow(wire), quads, colour=tone, material=shaders.PLAIN, gloss=0.4)
        return self._finish(frame, observation, placed, width, height)

    def _draw_skin(
        self, identity: Latent, observation: Latent, posed: Vertices, still: Vertices, light: Light, age: float
    ) -> None:
        normals = vertex_normals(posed, self._skin_faces)
        open_sky = self.regions.cavity(still, vertex_normals(still, self.head.body_faces))
        self._set(
            wrap=light.wrap,
            gloss=0.22 + 0.10 * float(np.tanh(identity[24])),
            age=age,
            marks=float(lt.bounded(identity[lt.MARKS], 1.0, 1.5)),
            seed=float(lt.bounded(identity[25], 1.0, 3.0)),
            shirt=0.03 + 0.5 * np.array([float(lt.between(observation[26 + k], 0, 1)) for k in (0, 1, 1)]) ** 1.5,
        )
        self._mesh(
            posed,
            self._skin_faces,
            normals=normals,
            colours=skin_colours(self.regions, identity, observation),
            place=self.head.vertices,
            open_sky=open_sky,
            material=shaders.SKIN,
        )

    def _draw_cap(self, identity: Latent, observation: Latent, posed: Vertices, rest: Vertices) -> None:
        """Hair close to the skull: the scalp lifted by the style's thickness, its edge frayed in the shader."""
        style = lt.HAIR_STYLES[int(lt.hair_style(identity))]
        if style == "bald":
            return
        grown = self.regions.scalp(hairline(identity, observation))
        faces = self._skin_faces[(grown[self._skin_faces] > 0).any(1)]
        normals = vertex_normals(posed, self._skin_faces)
        height = strands.CAP_THICKNESS[style] * (1 + 0.25 * float(np.tanh(identity[lt.HAIR_RED])))
        height *= 1 + 0.25 * float(np.tanh(observation[25]) * 0.5)  # a different day's hair
        lifted = posed + normals * (height * np.sqrt(grown))[:, None]
        # The same scalp, several times lifted: the layers show through each other's gaps.
        for layer in (0.35, 1.0) if style in ("crop", "short") else (0.5, 0.8, 1.0):
            self._mesh(
                np.asarray(posed + (lifted - posed) * layer, np.float32),
                faces,
                place=self.head.vertices,
                grown=grown * (1.15 - 0.35 * layer),
                material=shaders.CAP,
            )

    def _draw_eyes(self, identity: Latent, observation: Latent, eyes: list[Any], still: Vertices, follow: Any) -> None:
        ball, quads = self._ball
        gaze = gaze_direction(observation)
        self._set(iris=IRIS_COLOURS[int(lt.iris_class(identity))] * 1.1, gaze=gaze, upper_lid=0.9)
        for number, name in enumerate("lr"):
            points = still[self.head.group_vertices(f"helper-{name}-eye")]
            radius = float((points.max(0) - points.min(0))[:2].mean()) / 2
            cornea = 1 + 0.045 * np.exp(-((np.arccos(np.clip(ball @ gaze, -1, 1)) / 0.42) ** 2))
            middle = (points.max(0) + points.min(0)) / 2 if eyes else eyes[number]
            self._mesh(
                follow(middle + ball * (radius * cornea)[:, None].astype(np.float32)),
                quads,
                place=ball,
                material=shaders.EYE,
            )

    def _draw_mouth(self, posed: Vertices) -> None:
        for group, colour in (
            ("helper-upper-teeth", (0.46, 0.43, 0.38)),
            ("helper-lower-teeth", (0.36, 0.33, 0.29)),
            ("helper-tongue", (0.20, 0.06, 0.06)),
        ):
            self._mesh(
                posed,
                self.head.group_faces(group),
                colour=np.array(colour),
                material=shaders.PLAIN,
                gloss=0.1,
                open_sky=np.full(len(posed), 0.7, np.float32),
            )

    def _draw_strands(
        self, identity: Latent, observation: Latent, still: Vertices, normals: Vertices, follow: Any
    ) -> None:
        hair = hair_colour(identity, observation)
        brow_colour = hair * 0.55 * (1 - 0.3 * float(lt.grey(identity, observation)))
        self._lines(follow(strands.brows(self.regions, identity, still, normals)), brow_colour)
        self._lines(follow(strands.lashes(self.head, still, bool(identity[lt.SEX] >= 0))), np.full(3, 0.012))
        beard = strands.beard(self.regions, identity, still, normals)
        if beard is not None:
            self._lines(follow(beard), hair * 0.85)

    def _finish(self, frame: Any, observation: Latent, placed: Placed, width: int, height: int) -> Render:
        raw = np.frombuffer(frame.read(components=4), np.uint8)
        big = raw.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE, 4)[::-1, ::-1]
        small = big.astype(np.float32).mean((1, 3)) / 255
        alpha = small[..., 3]
        backdrop = background(observation[slice(*lt.FACTORS["background"])], height, width)
        rgb = small[..., :3] + (1 - alpha[..., None]) * backdrop
        return Render(rgb=rgb, head=small[..., :3], alpha=alpha, placed=placed)

    def _frame(self, width: int, height: int) -> Any:
        if (width, height) not in self._buffers:
            self._buffers[width, height] = self._gl.framebuffer(
                [self._gl.renderbuffer((width, height), 4)], self._gl.depth_renderbuffer((width, height))
            )
        return self._buffers[width, height]

    def _set(self, **uniforms: Any) -> None:
        for name, value in uniforms.items():
            if name in self._program:
                self._program[name].value = tuple(value) if np.ndim(value) else value

    def _set_light(self, light: Light, camera: Any, projection: Any) -> None:
        self._program["projection"].write(projection.T.astype("f4").tobytes())
        self._set(
            camera=camera, key_direction=light.direction, key_colour=light.key, sky=light.sky, ground=light.ground
        )

    def _mesh(
        self,
        vertices: Vertices,
        quads: NDArray[Any],
        *,
        material: int,
        normals: Vertices | None = None,
        colours: Vertices | None = None,
        colour: Any = (0.5, 0.5, 0.5),
        place: Vertices | None = None,
        grown: Any = 1.0,
        open_sky: NDArray[np.float32] | None = None,
        gloss: float | None = None,
    ) -> None:
        """Draw quads; all per-vertex arrays are over the same vertices."""
        used, index = np.unique(quads, return_inverse=True)
        index = index.reshape(quads.shape)
        points = vertices[used]
        table = np.empty((len(used), 14), np.float32)
        table[:, 0:3] = points
        table[:, 3:6] = normals[used] if normals is not None else vertex_normals(points, index)
        table[:, 6:9] = colours[used] if colours is not None else np.asarray(colour)
        table[:, 9:12] = (vertices if place is None else place)[used]
        table[:, 12] = grown[used] if np.ndim(grown) else grown
        table[:, 13] = open_sky[used] if open_sky is not None else 1.0
        triangles = np.concatenate([index[:, [0, 1, 2]], index[:, [0, 2, 3]]]).astype("i4")
        if gloss is not None:
            self._set(gloss=gloss)
        self._emit(table, triangles, material, None)

    def _lines(self, bundle: strands.Strands, colour: Any) -> None:
        """Draw strands as lines, each a little lighter or darker than its neighbours."""
        count, points = bundle.shape[:2]
        shade = 0.65 + 0.7 * np.modf(np.arange(count) * 0.618)[0]
        table = np.zeros((count, points, 14), np.float32)
        table[..., 0:3] = bundle
        table[..., 3:6] = np.gradient(bundle, axis=1)
        table[..., 6:9] = np.asarray(colour) * shade[:, None, None]
        table[..., 12:] = 1.0
        start = np.arange(count)[:, None, None] * points + np.arange(points - 1)[None, :, None]
        self._emit(table.reshape(-1, 14), (start + np.array([0, 1])).astype("i4"), shaders.STRAND, self._strip)

    def _emit(self, table: NDArray[np.float32], index: NDArray[Any], material: int, mode: Any) -> None:
        self._set(material=material)
        vertex_buffer = self._gl.buffer(np.ascontiguousarray(table).tobytes())
        index_buffer = self._gl.buffer(np.ascontiguousarray(index).tobytes())
        layout = (vertex_buffer, "3f 3f 3f 3f 2f", "in_position", "in_normal", "in_colour", "in_place", "in_mask")
        array = self._gl.vertex_array(self._program, [layout], index_buffer)
        array.render() if mode is None else array.render(mode)
        for resource in (array, vertex_buffer, index_buffer):
            resource.release()


@lru_cache(maxsize=1)
def load_scene() -> Scene:
    """The scene of this process; raises NoGraphics or HeadDataMissing."""
    return Scene()
