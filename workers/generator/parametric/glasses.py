"""Spectacles: two rims, a bridge and two temples, fitted to the eyes and ears of a head."""

import numpy as np
from numpy.typing import NDArray

from workers.generator.parametric import faces
from workers.generator.parametric.geometry import HeadModel, Vertices
from workers.generator.parametric.regions import Regions
from workers.generator.parametric.shape import Latent

THICKNESS = 0.028
"""Of the wire, decimetres."""


def glasses(head: HeadModel, regions: Regions, identity: Latent, rest: Vertices) -> tuple[Vertices, NDArray[np.int64]]:
    """Mesh of the frame at rest: vertices [K, 3] and quads [F, 4]. Shape and width vary with the identity."""
    return _tubes(frame_wires(head, regions, identity, rest))


def frame_wires(head: HeadModel, regions: Regions, identity: Latent, rest: Vertices) -> list[NDArray[np.float64]]:
    """The frame's lines at rest, each [points, 3]: left rim and temple, right rim and temple, bridge."""
    left, right = (rest[head.group_vertices(f"helper-{side}-eye")].mean(0) for side in "lr")
    apart = float(np.linalg.norm(left - right))
    squareness = 2.0 + 1.6 / (1 + np.exp(-float(faces.who(identity, "frame_shape"))))
    width = apart * (0.395 + 0.015 * np.tanh(float(faces.who(identity, "frame_width"))))
    height = width * (0.74 + 0.08 * np.tanh(float(faces.who(identity, "frame_height"))))
    brow = rest[regions.on_head & (regions.eyes > 0.3)][:, 2].max()
    front = max(float(brow), float(left[2]) + 0.24) + 0.05
    wires: list[NDArray[np.float64]] = []
    turn = np.linspace(0, 2 * np.pi, 41)
    for centre in (left, right):
        side = np.sign(centre[0])
        c, s = np.cos(turn), np.sin(turn)
        x = centre[0] + side * 0.02 + width * np.sign(c) * np.abs(c) ** (2 / squareness)
        y = centre[1] - 0.05 + height * np.sign(s) * np.abs(s) ** (2 / squareness)
        z = front - 0.10 * ((x - 0) / (apart + width)) ** 2 * 2
        wires.append(np.stack([x, y, z], 1))
        ear = rest[regions.ears & (np.sign(rest[:, 0]) == side)]
        hinge = np.array([side * (abs(centre[0]) + width + 0.02), centre[1] + height * 0.45, front - 0.2])
        wires.append(np.stack([hinge, [side * (np.abs(ear[:, 0]).mean() + 0.03), centre[1] + 0.1, ear[:, 2].mean()]]))
    gap = apart / 2 - width
    bridge = np.linspace(-1, 1, 9)
    wires.append(np.stack([bridge * max(gap, 0.04), left[1] + 0.10 - 0.04 * bridge**2, np.full(9, front + 0.01)], 1))
    return wires


def _tubes(wires: list[NDArray[np.float64]]) -> tuple[Vertices, NDArray[np.int64]]:
    """Sweep a square section along every wire."""
    vertices, quads, offset = [], [], 0
    for wire in wires:
        along = np.gradient(wire, axis=0)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        across = np.cross(along, [0.0, 0.3, 1.0])
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
        up = np.cross(across, along)
        half = THICKNESS / 2
        ring = [wire + half * (a * across + b * up) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        vertices.append(np.stack(ring, 1).reshape(-1, 3))
        index = offset + np.arange(len(wire) * 4).reshape(-1, 4)
        following = np.roll(index, -1, axis=1)
        quads.append(np.stack([index[:-1], following[:-1], following[1:], index[1:]], -1).reshape(-1, 4))
        offset += len(wire) * 4
    return np.concatenate(vertices).astype(np.float32), np.concatenate(quads)
