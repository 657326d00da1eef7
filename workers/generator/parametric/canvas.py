"""OpenGL 3.3 through EGL, on a GPU or by Mesa's software rasteriser: pieces in, an image with alpha out.

No window is opened. Everything is drawn three times: as the key light sees it and as the sky does, for what they do not
reach, and as the camera does.
"""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import FacsimileError
from workers.generator.parametric import shaders
from workers.generator.parametric.geometry import Vertices
from workers.generator.parametric.shape import vertex_normals

SUPERSAMPLE = 2
SHADOW_PIXELS = 384
SKY = (0.0, 0.75, 0.66)
"""Where most of the light from all around comes from: what it does not reach is darker."""

SHADOW_REACH = 2.0
"""Decimetres from the head's centre that can throw a shadow."""

_LAYOUT = {"in_position": 3, "in_normal": 3, "in_colour": 3, "in_place": 3, "in_mask": 2}
"""Attributes of a vertex, and how many columns each has."""

_COLUMNS = sum(_LAYOUT.values())


class NoGraphics(FacsimileError):
    """No OpenGL context can be made."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Something to draw in one go."""

    material: int
    """One of workers.generator.parametric.shaders."""
    table: NDArray[np.float32]
    """Vertices [K, 14]: position 3, normal 3, colour 3 (linear), place 3, mask 2."""
    triangles: NDArray[np.int32]
    """[T, 3]"""
    uniforms: dict[str, Any] = field(default_factory=dict)
    casts: bool = True
    """Whether it throws a shadow."""
    seen: bool = True
    """Whether it is in the picture; False for what only throws a shadow."""
    hides: bool = True
    """Whether it hides what lies behind it and is drawn later."""


def mesh(
    vertices: Vertices,
    quads: NDArray[Any],
    *,
    material: int,
    normals: Vertices | None = None,
    colours: Any = (0.5, 0.5, 0.5),
    place: Vertices | None = None,
    grown: Any = 1.0,
    open_sky: Any = 1.0,
    casts: bool = True,
    **uniforms: Any,
) -> Piece:
    """Quads [F, 4] as a piece; arrays of values are over the same vertices."""
    used: Any = slice(None)
    index = quads
    if len(vertices) > 2 * len(quads):  # a small part of a large mesh
        used, index = np.unique(quads, return_inverse=True)
        index = index.reshape(quads.shape)
    points = vertices[used]
    table = np.empty((len(points), _COLUMNS), np.float32)
    table[:, 0:3] = points
    table[:, 3:6] = normals[used] if normals is not None else vertex_normals(points, index)
    table[:, 6:9] = colours[used] if np.ndim(colours) == 2 else colours
    table[:, 9:12] = (vertices if place is None else place)[used]
    table[:, 12] = grown[used] if np.ndim(grown) else grown
    table[:, 13] = open_sky[used] if np.ndim(open_sky) else open_sky
    return Piece(material=material, table=table, triangles=_triangles(index), uniforms=uniforms, casts=casts)


def caster(vertices: Vertices, quads: NDArray[Any]) -> Piece:
    """Quads [F, 4] that throw a shadow and are not in the picture."""
    table = np.zeros((len(vertices), _COLUMNS), np.float32)
    table[:, 0:3] = vertices
    return Piece(material=shaders.PLAIN, table=table, triangles=_triangles(quads), seen=False)


def _triangles(quads: NDArray[Any]) -> NDArray[np.int32]:
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def ribbons(
    points: Vertices,
    *,
    camera: NDArray[Any],
    width: Any,
    colours: NDArray[Any],
    out: Any = (0.0, 0.3, 1.0),
    root_shade: float = 0.6,
    finest: float = 0.0,
    opacity: float = 1.0,
    hides: bool = True,
    **uniforms: Any,
) -> Piece:
    """Strands [S, P, 3] as flat ribbons that face the camera and end in a point.

    `width` is a number or [S], `colours` [3] or [S, 3], `out` the normal of what they grow on, [3] or [S, P, 3];
    `root_shade` is how much light reaches the roots. A ribbon narrower than `finest` is drawn as wide as that, and as
    much fainter.
    """
    thick = float(np.max(width, initial=0.0))
    drawn = max(thick, finest)
    opacity, width = opacity * thick / drawn, np.asarray(width, np.float32) * (drawn / thick)
    count, length = points.shape[:2]
    along = np.linspace(0, 1, length, dtype=np.float32)
    tangent = np.gradient(points, axis=1)
    side = np.cross(tangent, (camera - points).astype(np.float32))
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-9)
    shape = np.interp(along, [0, 0.25, 0.6, 1], [0.8, 1, 0.9, 0.3])
    half = (0.5 * width.reshape(-1, 1) * shape)[..., None].astype(np.float32)
    table = np.empty((count, length, 2, _COLUMNS), np.float32)
    table[:, :, 0, 0:3] = points - side * half
    table[:, :, 1, 0:3] = points + side * half
    table[..., 3:6] = tangent[:, :, None]
    colours = np.asarray(colours, np.float32)
    table[..., 6:9] = colours[:, None, None] if colours.ndim == 2 else colours
    out = np.asarray(out, np.float32)
    table[..., 9:12] = out[:, :, None] if out.ndim == 3 else out
    table[..., 12] = along[:, None]
    table[..., 13] = (root_shade + (1 - root_shade) * along)[:, None]
    step = np.arange(count)[:, None] * 2 * length + 2 * np.arange(length - 1)[None]
    step = step.reshape(-1, 1)
    triangles = np.concatenate([step + np.array([0, 1, 2]), step + np.array([1, 3, 2])]).astype(np.int32)
    return Piece(
        material=shaders.STRAND,
        table=table.reshape(-1, _COLUMNS),
        triangles=triangles,
        uniforms={**uniforms, "opacity": opacity},
        casts=False,
        hides=hides,
    )


def facing(points: Vertices, normals: Vertices, camera: NDArray[Any], slack: float = 0.25) -> NDArray[np.bool_]:
    """Which points [..., 3] with unit normals lie on the side of a head that the camera sees, or just past it."""
    towards = camera - points
    return np.asarray((normals * towards).sum(-1) > -slack * np.linalg.norm(towards, axis=-1))


class Canvas:
    """An OpenGL context, its programs and its buffers; one a process."""

    def __init__(self) -> None:
        # No thread of its own: processes fill the cores best, and Mesa's fences (22.3, and later ones) may be freed by
        # the thread that waits while one that draws still unlocks them: once in hours, a process died of it.
        os.environ.setdefault("LP_NUM_THREADS", "0")
        import moderngl

        try:
            gl = moderngl.create_context(standalone=True, backend="egl", require=330)  # type: ignore[arg-type]
        except Exception as exc:
            raise NoGraphics(
                f"no OpenGL context through EGL ({exc}); on Debian or Ubuntu: "
                "apt-get install libgl1 libegl1 libegl-mesa0 libgl1-mesa-dri"
            ) from exc
        self._gl = gl
        self._programs: list[Any] = [
            gl.program(vertex_shader=shaders.VERTEX, fragment_shader=shaders.fragment_shader(material))
            for material in range(len(shaders.MATERIALS))
        ]
        self._shadow_program: Any = gl.program(vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.SHADOW)
        self._depths = [gl.depth_texture((SHADOW_PIXELS, SHADOW_PIXELS)) for _ in range(2)]
        for depth in self._depths:
            depth.compare_func = ""
            depth.filter = (moderngl.NEAREST, moderngl.NEAREST)
            depth.repeat_x = depth.repeat_y = False
        self._shadows = [gl.framebuffer(depth_attachment=depth) for depth in self._depths]
        gl.enable(moderngl.DEPTH_TEST | moderngl.BLEND)
        gl.blend_func = (moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA)  # colours come multiplied by alpha
        self._textures: dict[str, Any] = {}
        self._frames: dict[tuple[int, int], Any] = {}

    @property
    def renderer(self) -> str:
        """What draws: a GPU's name, or Mesa's software rasteriser."""
        return str(self._gl.info["GL_RENDERER"])

    def draw(
        self,
        pieces: list[Piece],
        *,
        projection: Any,
        towards_light: Any,
        centre: Any,
        width: int,
        height: int,
        textures: dict[str, NDArray[Any]],
        **uniforms: Any,
    ) -> NDArray[np.float32]:
        """Draw pieces over nothing; returns [H, W, 4] in [0, 1], encoded light multiplied by alpha, and alpha.

        `textures` are [rows, columns, 4], uint8 or float16, under the names that shaders know them by.
        """
        buffers = [
            (piece, self._gl.buffer(piece.table.tobytes()), self._gl.buffer(piece.triangles.tobytes()))
            for piece in pieces
        ]
        lights = [_light_projection(np.asarray(towards), np.asarray(centre)) for towards in (towards_light, SKY)]
        for light, shadow in zip(lights, self._shadows, strict=True):
            _set(self._shadow_program, projection=light)
            shadow.use()
            shadow.clear()
            for piece, vertices, index in buffers:
                if piece.casts:
                    self._render(self._shadow_program, vertices, index)
        frame = self._frame(width * SUPERSAMPLE, height * SUPERSAMPLE)
        frame.use()
        frame.clear(0.0, 0.0, 0.0, 0.0)
        for number, depth in enumerate(self._depths):
            depth.use(number)
        units = {name: self._texture(name, values, 2 + k) for k, (name, values) in enumerate(textures.items())}
        common = {"projection": projection, "light_projection": lights[0], "sky_projection": lights[1]}
        for program in self._programs:
            _set(program, shadows=0, sky_shadows=1, key_direction=towards_light, **units, **common, **uniforms)
        for piece, vertices, index in (buffer for buffer in buffers if buffer[0].seen):
            program = self._programs[piece.material]
            _set(program, **piece.uniforms)
            frame.depth_mask = piece.hides
            self._render(program, vertices, index)
        frame.depth_mask = True
        for _, vertices, index in buffers:
            vertices.release()
            index.release()
        raw = np.frombuffer(frame.read(components=4), np.uint8)
        # The frame's first row is its lowest.
        big = raw.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE, 4)[::-1, ::-1]
        return np.asarray(big.astype(np.float32).mean((1, 3)) / 255, np.float32)

    def _texture(self, name: str, values: NDArray[Any], unit: int) -> int:
        """Put a picture where shaders find it; returns its unit."""
        rows, columns, channels = values.shape
        kind = "f1" if values.dtype == np.uint8 else "f2"
        texture = self._textures.get(name)
        if texture is None or (texture.width, texture.height, texture.dtype) != (columns, rows, kind):
            texture = self._textures[name] = self._gl.texture((columns, rows), channels, dtype=kind)
            texture.repeat_x, texture.repeat_y = name == "surroundings", False
        texture.write(np.ascontiguousarray(values).tobytes())
        texture.use(unit)
        return unit

    def _render(self, program: Any, vertices: Any, index: Any) -> None:
        # A compiler drops the attributes that a program does not use.
        columns = " ".join(f"{size}f" if name in program else f"{4 * size}x" for name, size in _LAYOUT.items())
        array = self._gl.vertex_array(
            program, [(vertices, columns, *(name for name in _LAYOUT if name in program))], index
        )
        array.render()
        array.release()

    def _frame(self, width: int, height: int) -> Any:
        if (width, height) not in self._frames:
            self._frames[width, height] = self._gl.framebuffer(
                [self._gl.renderbuffer((width, height), 4)], self._gl.depth_renderbuffer((width, height))
            )
        return self._frames[width, height]


def _set(program: Any, **uniforms: Any) -> None:
    for name, value in uniforms.items():
        if name in program:
            if np.shape(value) == (9, 3):
                program[name].write(np.asarray(value, "f4").tobytes())
            elif np.ndim(value) == 2:
                program[name].write(np.asarray(value).T.astype("f4").tobytes())
            else:
                program[name].value = tuple(value) if np.ndim(value) else value


def _light_projection(towards: NDArray[Any], centre: NDArray[Any]) -> NDArray[np.float64]:
    """World to the key light's clip coordinates, [4, 4]: parallel rays."""
    ahead = towards / np.linalg.norm(towards)
    right = np.cross([0.0, 1.0, 0.0], ahead)
    right /= np.linalg.norm(right)
    up = np.cross(ahead, right)
    rotation = np.stack([right, up, -ahead / 1.5]) / SHADOW_REACH
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = -rotation @ centre
    return matrix
