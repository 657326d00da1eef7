"""From a folder of ICT-FaceKit to a model folder: registered, checked, and written with its card."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from app.dataset.model import ModelCard
from app.errors import Conflict, Corrupt, Misconfigured
from workers.generator.cards import check_name, read_card, write_card
from workers.generator.parametric import faces
from workers.generator.parametric.geometry import load_head
from workers.generator.parametric.regions import CRANIUM, load_regions
from workers.generator.parametric.scans.directions import Directions, find_directions
from workers.generator.parametric.scans.folder import FaceKit, read_facekit
from workers.generator.parametric.scans.heads import FILE, MODES, ScanHeads, save_heads
from workers.generator.parametric.scans.registration import Registered, register
from workers.generator.parametric.shape import shape_head, vertex_normals
from workers.generator.registry import RESERVED, SHIPPED

NAME = "parametric-scan"
"""What it is called where nobody says otherwise."""

CREDIT = "Shape statistics from ICT-FaceKit, © 2020 USC Institute for Creative Technologies, MIT."

WORST_MM = 1.5
"""How far 95% of the visible vertices may lie from the scans' mean: a good registration leaves half a millimetre."""

WORST_FLIPPED = 0.03
"""Share of the outermost vertices, ears left out, whose surface may face another way than before."""

DEEP = 0.08
"""Decimetres below the outermost vertex about it, from which a vertex lies inside the head."""

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the registration was found to be."""

    vertices: int
    """Of our mesh that follow the scans themselves."""
    distance_mm: tuple[float, float]
    """To the scans' mean: median, and of 95%."""
    flipped: float
    """Share of the outermost vertices whose surface faces another way than before."""
    variance: float
    """Share of the modes' variance that the latents say."""
    sex_explained: float
    age_explained: float

    def as_card(self) -> dict[str, float | int]:
        """For the card: rounded."""
        return {
            "registered_vertices": self.vertices,
            "distance_median_mm": round(self.distance_mm[0], 3),
            "distance_95_mm": round(self.distance_mm[1], 3),
            "flipped_share": round(self.flipped, 5),
            "variance_share": round(self.variance, 4),
            "sex_explained": round(self.sex_explained, 3),
            "age_explained": round(self.age_explained, 3),
        }


def import_facekit(
    source: Path,
    out: Path,
    name: str = NAME,
    *,
    licence: str | None = None,
    provenance: str | None = None,
    on_progress: OnProgress = lambda what, done, total: None,
) -> tuple[Path, ModelCard]:
    """Write `out`/`name`: a model that draws heads with the shapes of scanned people; returns folder and card.

    Raises RequestRefused for a folder that is no ICT-FaceKit (nothing is written), Conflict where the model's folder
    exists, Corrupt if our mesh does not come to lie on the scans, and Misconfigured where nothing can be written.
    """
    check_name("name", name, RESERVED)
    folder = out / name
    if folder.exists() or folder.is_symlink():
        raise Conflict(f"{folder} exists already; remove it, or give the model another name")
    kit = read_facekit(source, lambda done, total: on_progress("reading", done, total))
    on_progress("registering", 0, 1)
    heads, checked = heads_of(kit)
    on_progress("registering", 1, 1)
    try:
        folder.mkdir(parents=True)
        try:
            card = _card(name, kit, checked, save_heads(folder, heads), licence, provenance)
            write_card(folder, card)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as exc:
        raise Misconfigured(f"{folder} cannot be written: {exc}") from exc
    return folder, card


def heads_of(kit: FaceKit) -> tuple[ScanHeads, Checked]:
    """Register our mesh onto a kit, and check what came of it; raises Corrupt if it does not lie on the scans."""
    head, regions = load_head(), load_regions()
    still = np.zeros(faces.IDENTITY, np.float32), np.zeros(faces.OBSERVATION, np.float32)
    rest, _ = shape_head(head, *still)
    found = register(head, regions, rest.astype(np.float64), kit)
    directions = find_directions(head, regions, found.modes[:MODES])
    checked = _check(found, directions, rest)
    if checked.distance_mm[1] > WORST_MM or checked.flipped > WORST_FLIPPED:
        raise Corrupt(
            f"our mesh does not come to lie on the scans: {checked.distance_mm[1]:.2f} mm at 95% of the vertices (at "
            f"most {WORST_MM:g}), {checked.flipped:.2%} of the surface turned over (at most {WORST_FLIPPED:.0%})"
        )
    sex = directions.sex / np.linalg.norm(directions.sex)
    age = directions.age / np.linalg.norm(directions.age)
    heads = ScanHeads(mean=found.mean, modes=found.modes[:MODES], sex=sex, age=age)
    return heads, checked


def _check(found: Registered, directions: Directions, rest: np.ndarray) -> Checked:
    cage = load_regions().skin.cage
    before, after = (vertex_normals(np.asarray(points, np.float32), cage) for points in (rest, found.mean))
    energy = (found.modes.astype(np.float64) ** 2).sum((1, 2))
    median, most = (float(value) for value in np.percentile(found.distance_mm, [50, 95]))
    outer = _outermost(rest, found.seen)
    turned = (before[outer] * after[outer]).sum(1) < 0
    return Checked(
        vertices=len(found.fitted),
        distance_mm=(median, most),
        flipped=float(turned.mean()),
        variance=float(energy[:MODES].sum() / energy.sum()),
        sex_explained=directions.sex_explained,
        age_explained=directions.age_explained,
    )


def _outermost(rest: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Of the vertices that can be seen, those with nothing of the head outside them, ears left out."""
    offset = rest - CRANIUM
    radius = np.linalg.norm(offset, axis=1)
    ways = offset / radius[:, None]
    _, near = cKDTree(ways[seen]).query(ways[seen], k=24)
    outside = radius[seen] > radius[seen][near].max(1) - DEEP
    return np.asarray(seen[outside & ~load_regions().ears[seen]])


def _card(
    name: str, kit: FaceKit, checked: Checked, sha256: str, licence: str | None, provenance: str | None
) -> ModelCard:
    """The shipped renderer's card, with what is another's: its shapes, and nothing that was measured on the other."""
    shipped = read_card(SHIPPED / "parametric").model_dump(mode="json")
    for measured in ("measured", "evaluation", "formerly", "checks", "description", "provenance"):
        shipped.pop(measured, None)
    digest = hashlib.sha256(json.dumps(kit.digests, sort_keys=True).encode()).hexdigest()
    said = f"{provenance.strip()} " if provenance and provenance.strip() else ""
    return ModelCard.model_validate(
        {
            **shipped,
            "name": name,
            "description": (
                "Draws heads whose shapes have the statistics of scanned people; texture, hair, light and camera are "
                f"those of the model parametric. {MODES} of ICT-FaceKit's 100 modes, with sex and age as directions in "
                "them; weight and muscle are what the modes say, and their latents do nothing to the shape."
            ),
            "provenance": (
                f"{said}{CREDIT} Registered from {len(kit.digests)} files (SHA-256 over their digests {digest}) onto "
                "MakeHuman's CC0 base mesh. No photograph of a real person."
            ),
            "licence": licence or f"{shipped['licence']}; heads: MIT (ICT-FaceKit)",
            "heads": {"file": FILE, "sha256": sha256, "modes": MODES, "source_sha256": digest},
            "measured": {"registration": checked.as_card()},
        }
    )


def look_at(source: Path) -> dict[str, str]:
    """What a folder holds, to be shown before an import; raises RequestRefused."""
    kit = read_facekit(source)
    return {
        "family": "parametric (ICT-FaceKit)",
        "size": f"{len(kit.neutral):,} vertices, {len(kit.quads):,} faces",
        "latents": f"{len(kit.modes)} identity modes, of which {MODES} are taken",
        "digest": "sha256 " + hashlib.sha256(json.dumps(kit.digests, sort_keys=True).encode()).hexdigest(),
        "refused": "nothing",
    }
