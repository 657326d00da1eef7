"""Where a head and its landmarks come to lie in the image: shape, pose and camera, nothing drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.generator.landmarks import LANDMARKS
from workers.generator.parametric import faces, strands
from workers.generator.parametric.geometry import HeadModel, Vertices, pose_head
from workers.generator.parametric.glasses import frame_wires
from workers.generator.parametric.regions import Regions
from workers.generator.parametric.scans.heads import ScanHeads
from workers.generator.parametric.shape import Latent, shape_head, vertex_normals

IRIS_ABOVE = 0.06
"""How much higher than the middle of the lids' opening an iris lies at rest, of the ball's radius."""

EYE_LINE = 0.45
"""Height of the eyes in the image, from the top."""

EYES_APART = 0.245
"""Distance between the eyes' centres over the image's width, on a frontal face."""

EYE_TO_MOUTH = 0.272
"""Distance from the eyes to the mouth over the image's width."""

CAMERA_DISTANCE = 14.0  # decimetres


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A head in front of a camera."""

    rest: Vertices
    """Without expression, not turned, [V, 3]."""
    still: Vertices
    """With expression, not turned."""
    posed: Vertices
    rotation: NDArray[np.float64]
    centre: Vertices
    eyes: NDArray[np.float32]
    """Centres of the eyeballs, left and right, not turned, [2, 3]."""
    level: float
    """Degrees above the balls' middles at which the lids open: where the eyes look who look straight ahead."""
    camera: NDArray[np.float64]
    projection: NDArray[np.float64]
    """World to clip coordinates, [4, 4]."""

    @property
    def middle(self) -> Vertices:
        """The middle of the head, turned, [3]; tall people's lies higher."""
        return self.follow(self.eyes.mean(0) - np.array([0, 0, 0.8], np.float32))

    def follow(self, points: Vertices) -> Vertices:
        """Move points [..., 3] fixed to the rigid head along with it."""
        return np.asarray((points - self.centre) @ self.rotation.T + self.centre, np.float32)

    def project(self, points: Vertices) -> NDArray[np.float32]:
        """Places in the image of points [K, 3]: x and y in [0, 1] from the top left, [K, 2]."""
        clip = np.concatenate([points, np.ones((len(points), 1))], 1) @ self.projection.T
        return np.asarray(clip[:, :2] / clip[:, 3:] * [0.5, -0.5] + 0.5, np.float32)


def place_head(
    head: HeadModel,
    regions: Regions,
    identity: Latent,
    observation: Latent,
    width: int,
    height: int,
    scans: ScanHeads | None = None,
) -> Placed:
    """Shape, turn and frame one head for z_I and z_O in an image of width × height pixels."""
    rest, still = shape_head(head, identity, observation, scans)
    yaw, pitch = float(faces.yaw_degrees(observation)), float(faces.pitch_degrees(observation))
    posed, rotation, centre = pose_head(head, still, yaw, pitch, float(faces.roll_degrees(observation)))
    eyes = np.stack([still[head.group_vertices(f"helper-{side}-eye")].mean(0) for side in "lr"])
    mouth = rest[regions.on_head & (regions.lips > 0.3)].mean(0)
    aimed = np.asarray((np.stack([*eyes, mouth]) - centre) @ rotation.T + centre, np.float32)
    camera, projection = _camera(aimed, width, height)
    return Placed(
        rest=rest,
        still=still,
        posed=posed,
        rotation=rotation,
        centre=centre,
        eyes=eyes,
        level=_level(head, regions, rest),
        camera=camera,
        projection=projection,
    )


def landmarks(
    head: HeadModel, regions: Regions, identity: Latent, observation: Latent, placed: Placed
) -> NDArray[np.float32]:
    """Places of all landmarks in the image, [LANDMARKS, 2]; the order is that of workers.generator.landmarks."""
    first, second = regions.landmarks
    normals = vertex_normals(placed.still, head.body_faces)
    fixed = [
        placed.eyes,
        *_brow_lines(strands.brows(regions, identity, placed.still, normals)),
        _irises(head, observation, placed),
        *_rims_and_frame(head, regions, identity, placed.rest),
    ]
    eyes, *others = (placed.follow(points.astype(np.float32)) for points in fixed)
    points = np.concatenate(
        [_on_skin(regions, first, placed.posed), eyes, _on_skin(regions, second, placed.posed), *others]
    )
    if len(points) != LANDMARKS:
        raise AssertionError(f"{len(points)} landmarks, not {LANDMARKS}")
    return placed.project(points)


def _on_skin(regions: Regions, vertices: NDArray[np.int64], posed: Vertices) -> Vertices:
    """Where vertices lie on the skin as it is drawn; those of the lashes are no part of it and stay."""
    points = posed[vertices]
    on_skin = np.isin(vertices, regions.skin.surface.used)
    points[on_skin] = regions.skin.surface.only(vertices[on_skin], posed)
    return points


def eyeball(head: HeadModel, vertices: Vertices, side: str) -> tuple[NDArray[np.float32], float]:
    """Middle [3] and radius of an eyeball, side `l` or `r`."""
    points = vertices[head.group_vertices(f"helper-{side}-eye")]
    low, high = points.min(0), points.max(0)
    return (low + high) / 2, float((high - low)[:2].mean()) / 2


def _level(head: HeadModel, regions: Regions, rest: Vertices) -> float:
    """How high the lids of a face at rest open before its eyeballs, degrees above their middles."""
    heights = []
    edges = [strands.lid_edges(regions, rest, upper=upper) for upper in (True, False)]
    for number, side in enumerate("lr"):
        middle, radius = eyeball(head, rest, side)
        open_ = float(np.mean([edge[number][edge.shape[1] // 3 : -2, 1].mean() for edge in edges]))
        heights.append((open_ - middle[1]) / radius)
    return float(np.degrees(np.arcsin(np.clip(np.mean(heights) + IRIS_ABOVE, -0.4, 0.25))))


def gaze_directions(observation: Latent, placed: Placed) -> NDArray[np.float64]:
    """Where the left and right eye look, unit vectors of the head's own frame, [2, 3]: both at one point.

    Most of a turn of the head is made good, as people do who look into a camera.
    """
    eyes = placed.eyes
    side = float(faces.bounded(faces.how(observation, "gaze_side"), 5, 16))
    up = float(faces.bounded(faces.how(observation, "gaze_up"), 2.5, 7))
    side -= float(faces.bounded(faces.yaw_degrees(observation), 0.75, 24))
    up += float(faces.bounded(faces.pitch_degrees(observation), 0.6, 9))
    a, b = np.radians([side, up + placed.level])
    point = eyes.mean(0) + 11.0 * np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
    ways = point - eyes
    return np.asarray(ways / np.linalg.norm(ways, axis=1, keepdims=True), np.float64)


def _brow_lines(hairs: NDArray[np.float32]) -> list[Vertices]:
    """The middles of five stretches of each brow, from the nose outwards, left brow first."""
    lines = []
    for bundle in np.split(hairs, 2):
        order = np.argsort(np.abs(bundle[:, 0, 0]))
        lines.append(np.stack([bundle[part, 1].mean(0) for part in np.array_split(order, 5)]))
    return lines


def _irises(head: HeadModel, observation: Latent, placed: Placed) -> Vertices:
    centres = []
    for side, gaze in zip("lr", gaze_directions(observation, placed), strict=True):
        middle, radius = eyeball(head, placed.still, side)
        centres.append(middle + gaze * radius)
    return np.stack(centres).astype(np.float32)


def _rims_and_frame(head: HeadModel, regions: Regions, identity: Latent, rest: Vertices) -> list[Vertices]:
    left, left_temple, right, right_temple, bridge = frame_wires(head, regions, identity, rest)
    around = np.linspace(0, len(left) - 1, 17)[:-1].round().astype(int)
    temples = [wire[0] + (wire[1] - wire[0]) * np.linspace(0, 1, 3)[:, None] for wire in (left_temple, right_temple)]
    return [left[around], right[around], bridge[[0, 4, 8]], *temples]


def _camera(points: Vertices, width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place the camera so that eyes and mouth come to rest at their places in the image."""
    left, right, mouth = points.astype(np.float64)
    middle = (left + right) / 2
    apart = float(np.linalg.norm(left - right))
    down = float(np.linalg.norm(middle - mouth))
    across = 0.5 * apart / EYES_APART + 0.5 * down / EYE_TO_MOUTH  # decimetres that the width shows
    tall = across * height / width
    # Turned heads are centred between their eyes and a point inside the head, or the face leaves the image.
    x = 0.6 * middle[0] + 0.4 * mouth[0]
    target = np.array([x, middle[1] - (0.5 - EYE_LINE) * tall, middle[2]])
    camera = target + np.array([0, 0, CAMERA_DISTANCE])
    near, far = CAMERA_DISTANCE * 0.4, CAMERA_DISTANCE * 1.8
    scale = 2 * CAMERA_DISTANCE
    frustum = np.array(
        [
            [scale / across, 0, 0, 0],
            [0, scale / tall, 0, 0],
            [0, 0, (far + near) / (near - far), 2 * far * near / (near - far)],
            [0, 0, -1, 0],
        ]
    )
    shift = np.eye(4)
    shift[:3, 3] = -camera
    return camera, np.asarray(frustum @ shift, np.float64)
