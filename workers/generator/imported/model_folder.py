"""From somebody's checkpoint to a model folder: read apart, converted, looked at, and written with its card."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn

from app.dataset.model import ModelCard
from app.errors import Conflict, Misconfigured, RequestRefused
from workers.generator.cards import check_name, read_card, write_card
from workers.generator.draw import draw_identity
from workers.generator.editing.boundaries import orthogonal_to, read_boundary
from workers.generator.editing.directions import (
    NOISE_DIMENSIONS,
    Direction,
    drop_directions,
    factors_of,
    save_directions,
)
from workers.generator.editing.identities import Identities, drop_identities, save_identities
from workers.generator.imported.generator import Imported, sizes_of
from workers.generator.imported.importer import convert
from workers.generator.imported.survey import (
    SAMPLED,
    SEED,
    FacesSeen,
    FindFace,
    Spread,
    by_boundary,
    principal_axes,
    see_faces,
    spread_of_w,
    spread_of_z,
)
from workers.generator.imported.taking import Converted
from workers.generator.progan.network import ProGan
from workers.generator.reading.apart import Read, read_apart
from workers.generator.reading.refusals import FileRefused
from workers.generator.registry import RESERVED
from workers.generator.stylegan1.network import StyleGan1
from workers.generator.stylegan2.network import StyleGan2
from workers.generator.stylegan3.network import StyleGan3
from workers.generator.weights import save_model
from workers.images import to_pixels

NETWORKS: Mapping[str, Callable[[Any], nn.Module]] = {
    "progan": ProGan,
    "stylegan1": StyleGan1,
    "stylegan2": StyleGan2,
    "stylegan3": StyleGan3,
}

PICTURES = 100
"""In which faces are looked for."""

FEWEST_FACES = 0.5
"""Share of them in which there must be one."""

NOT_CLEARED = "its user has not said that the faces it was trained on may be used so (--cleared)"

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a user says of a checkpoint."""

    source: Path
    name: str
    licence: str | None
    provenance: str | None
    network: str | None = None
    """Which of the file's networks; None for the averaged one."""
    psi: float = 1.0
    cutoff: int | None = None
    label: int | None = None
    alignment: str | None = None
    """How the pictures it was trained on were cut, in the user's words."""
    boundaries: Mapping[str, tuple[str | None, Path]] = field(default_factory=dict)
    """Name of the attribute → space (None for the family's own) and file."""
    held: Mapping[str, tuple[str | None, Path]] = field(default_factory=dict)
    """The same for attributes that are to stay as they are."""
    cleared: bool = False
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What a checkpoint holds."""

    read: Read
    converted: Converted
    network: Any

    @property
    def parameters(self) -> int:
        """Numbers that were learned or kept."""
        return sum(values.size for values in self.converted.tensors.values())

    def as_lines(self) -> dict[str, str]:
        """What is to be shown of it."""
        network, contents = self.network, self.read.contents
        others = [label for label in contents.labels if label != contents.label]
        return {
            "family": f"{self.converted.kind} ({self.converted.source})",
            "network": contents.label + (f"; the file has {', '.join(others)} too" if others else ""),
            "size": f"{network.resolution}×{network.resolution} pixels",
            "latents": f"z {network.latent}, w {network.width}, {network.layers} layers"
            + (f", {network.labels} labels" if network.labels else ""),
            "parameters": f"{self.parameters:,}",
            "digest": f"sha256 {self.read.sha256} ({self.read.bytes:,} bytes)",
            "notes": "; ".join(self.converted.notes) or "none",
            "refused": "nothing",
        }


@dataclass(frozen=True, kw_only=True)
class Made:
    """What came of an import."""

    folder: Path
    card: ModelCard
    faces: FacesSeen


def look(source: Path, network: str | None = None) -> Looked:
    """Read and convert a checkpoint, and write nothing; raises FileRefused, naming the file."""
    try:
        read = read_apart(source, network)
        converted = convert(read.contents)
    except FileRefused as exc:
        raise FileRefused(f"{source}: {exc.problem}", exc.at) from None
    with torch.device("meta"):
        built = NETWORKS[converted.kind](converted.architecture)
    return Looked(read=read, converted=converted, network=built)


def import_checkpoint(
    asked: Asked, out: Path, find: FindFace, *, on_progress: OnProgress = lambda what, done, total: None
) -> Made:
    """Write `out`/NAME (card, weights as float32, directions) from a checkpoint.

    Raises RequestRefused for what the user left out or asks wrongly, FileRefused for a file that is not taken, and
    Conflict where the model's folder exists. `find` looks for faces in the model's pictures. `on_progress` gets what is
    under way, and how much of it.
    """
    check_asked(asked)
    folder = out / asked.name
    if folder.exists() or folder.is_symlink():
        raise Conflict(f"{folder} exists already; remove it, or give the model another name")
    on_progress("reading", 0, 1)
    looked = look(asked.source, asked.network)
    on_progress("reading", 1, 1)
    _check_fits(asked, looked)
    network = _filled(looked)
    mapped = network.average is not None
    spread = spread_of_z(network.width)
    if mapped:
        spread = spread_of_w(
            network, asked.label, count=SAMPLED, on_progress=lambda done, total: on_progress("mapping", done, total)
        )
    if mapped and "w_average" not in looked.converted.tensors:
        looked.converted.tensors["w_average"] = spread.mean.astype(np.float32)
        network.average.copy_(torch.from_numpy(looked.converted.tensors["w_average"]))
    directions = _directions(asked, network, spread)
    faces = _faces(asked, looked, network, directions, find, on_progress)
    tensors = _state(looked.converted)
    try:
        folder.mkdir(parents=True)
        try:
            card = _card(asked, looked, directions, faces, save_directions(folder, directions))
            written = save_model(folder, card, tensors, torch.float32)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except (OSError, SafetensorError) as exc:
        raise Misconfigured(f"{folder} cannot be written: {exc}") from exc
    return Made(folder=folder, card=written, faces=faces)


def replace_directions(folder: Path, directions: Sequence[Direction], *, noise: bool) -> ModelCard:
    """Give a model other directions, and with them other factors; returns its new card, which is another model's.

    Broken off at any moment, the folder holds the model of before or the new one, whole.
    """
    card = read_card(folder)
    latent = card.latent.model_copy(update={"observation": factors_of(directions, noise=noise)})
    written = save_directions(folder, directions)
    update = {"version": _next(card.version), "latent": latent, "directions": written}
    made = ModelCard.model_validate(card.model_copy(update=update).model_dump(mode="json"))
    write_card(folder, made)
    drop_directions(folder, written["file"])
    return made


def replace_identities(
    folder: Path, found: Identities, attributes: Mapping[str, Any], about: Mapping[str, Any]
) -> ModelCard:
    """Give a model's z_I a meaning: attributes along its first axes, and repulsion; returns its new card.

    Broken off at any moment, the folder holds the model of before or the new one, whole.
    """
    card = read_card(folder)
    written = save_identities(folder, found, about)
    update = {"version": _next(card.version), "attributes": dict(attributes), "identities": written}
    made = ModelCard.model_validate({**card.model_dump(mode="json"), **update})
    write_card(folder, made)
    drop_identities(folder, written["file"])
    return made


def _next(version: str) -> str:
    major, _, minor = version.rpartition(".")
    return f"{major}.{int(minor) + 1}" if major and minor.isdigit() else f"{version}.1"


def check_asked(asked: Asked) -> None:
    """Raise RequestRefused for what is left out or cannot be, before any file is read."""
    check_name("name", asked.name, RESERVED)
    problems = []
    if not (asked.licence or "").strip():
        problems.append(
            (
                "licence",
                "left out; say under which licence you have these weights: --licence with an SPDX name or its text",
            )
        )
    if not (asked.provenance or "").strip():
        problems.append(
            (
                "provenance",
                "left out; say where the weights come from and on whose faces they were trained: --provenance TEXT",
            )
        )
    if not 0 <= asked.psi <= 1:
        problems.append(("truncation", f"ψ is {asked.psi}; it must be within 0 … 1"))
    if twice := set(asked.boundaries) & set(asked.held):
        problems.append(("hold", f"{sorted(twice)[0]} cannot be moved and held still at once"))
    if problems:
        raise RequestRefused(problems)


def _check_fits(asked: Asked, looked: Looked) -> None:
    network, problems = looked.network, []
    if network.labels and asked.label is None:
        problems.append(
            ("label", f"the network was told of {network.labels} classes; choose one: --label 0 … {network.labels - 1}")
        )
    if asked.label is not None and not 0 <= asked.label < network.labels:
        wrong = f"{asked.label} is not one of the network's {network.labels} classes"
        problems.append(("label", wrong if network.labels else "the network was told of no classes; leave it out"))
    mapped = looked.converted.kind != "progan"
    if asked.psi != 1 and not mapped:
        problems.append(("truncation", "this network has no w to truncate"))
    if asked.cutoff is not None and not 0 <= asked.cutoff <= network.layers:
        problems.append(("cutoff", f"{asked.cutoff} is not within the network's 0 … {network.layers} layers"))
    if problems:
        raise RequestRefused(problems)


def _state(converted: Converted) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(values, order="C")) for name, values in converted.tensors.items()}


def _filled(looked: Looked) -> Any:
    network = NETWORKS[looked.converted.kind](looked.converted.architecture)
    state = _state(looked.converted)
    if "w_average" in network.state_dict():
        state.setdefault("w_average", torch.zeros(looked.network.width))
    network.load_state_dict(state)
    return network.eval().requires_grad_(requires_grad=False)


def _directions(asked: Asked, network: Any, spread: Spread) -> list[Direction]:
    """Those of the boundaries that were given, the held ones taken out; else principal axes."""
    own = "Z" if network.average is None else "W"
    if not asked.boundaries:
        return principal_axes(spread, own, asked.psi)
    spreads = {"Z": spread_of_z(network.latent), own: spread}

    def read(option: str, name: str, space: str | None, path: Path) -> tuple[str, NDArray[np.float64]]:
        chosen = own if space is None else space
        if chosen not in spreads:
            raise RequestRefused(
                [(option, f"{name}: this network has no space {chosen!r}; it has {', '.join(spreads)}")]
            )
        try:
            return chosen, read_boundary(path, len(spreads[chosen].mean), chosen)
        except FileRefused as exc:
            raise RequestRefused([(option, f"{name}: {path}: {exc}")]) from exc

    held = [read("hold", name, *where) for name, where in asked.held.items()]
    found = []
    for name, where in asked.boundaries.items():
        space, normal = read("boundary", name, *where)
        try:
            still = orthogonal_to(normal, [other for beside, other in held if beside == space])
        except ValueError as exc:
            raise RequestRefused([("hold", f"{name}: {exc}")]) from exc
        found.append(by_boundary(name, still, space, spreads[space], asked.psi))
    return found


def _faces(
    asked: Asked,
    looked: Looked,
    network: Any,
    directions: Sequence[Direction],
    find: FindFace,
    on_progress: OnProgress,
) -> FacesSeen:
    card = ModelCard(
        name=asked.name,
        version="1.0",
        kind=looked.converted.kind,
        description="",
        sizes=((network.resolution, network.resolution),),
        latent={"identity": network.latent, "observation": factors_of(directions, noise=bool(network.noise_sizes))},
        licence="",
        provenance="",
    )
    generator = Imported(
        card,
        network,
        list(directions),
        torch.device("cpu"),
        psi=asked.psi,
        cutoff=asked.cutoff,
        label=asked.label,
    )
    size = len(directions) + (NOISE_DIMENSIONS if network.noise_sizes else 0)

    def paint(numbers: Sequence[int]) -> NDArray[np.uint8]:
        who = np.stack([draw_identity(SEED, number, 1, network.latent) for number in numbers])
        still = np.zeros((len(who), size), np.float32)
        return to_pixels(generator.generate(who, still, network.resolution, network.resolution))

    seen = see_faces(paint, find, PICTURES, on_progress=lambda done, total: on_progress("faces", done, total))
    if seen.found < FEWEST_FACES * seen.pictures and not asked.force:
        raise FileRefused(
            f"{asked.source}: no face found in {seen.pictures - seen.found} of {seen.pictures} pictures: a network of "
            "something else, or damaged weights; --force to go on all the same"
        )
    return seen


def _card(
    asked: Asked, looked: Looked, directions: Sequence[Direction], faces: FacesSeen, written: dict[str, Any]
) -> dict[str, Any]:
    network, contents = looked.network, looked.read.contents
    side = network.resolution
    mapped = looked.converted.kind != "progan"
    return {
        "name": asked.name,
        "version": "1.0",
        "kind": looked.converted.kind,
        "description": f"{looked.converted.source}, imported; {side}×{side} pixels.",
        "sizes": sizes_of(side),
        "latent": {
            "identity": network.latent,
            "observation": factors_of(directions, noise=bool(network.noise_sizes)),
        },
        "licence": asked.licence,
        "provenance": asked.provenance,
        **({} if asked.cleared else {"never_default": NOT_CLEARED}),
        "architecture": asdict(looked.converted.architecture),
        "parameters": looked.parameters,
        **({"truncation": {"psi": asked.psi, "cutoff": asked.cutoff}} if mapped else {}),
        **({} if asked.label is None else {"label": asked.label}),
        "directions": written,
        "alignment": {"stated": asked.alignment, "seen": faces.as_card()},
        "imported": {
            "from": looked.converted.source,
            "file": asked.source.name,
            "sha256": looked.read.sha256,
            "bytes": looked.read.bytes,
            "network": contents.label,
            "notes": list(looked.converted.notes),
        },
    }
