"""The offline converter for SD-BEGAN as its authors publish it: raw float32 files beside a manifest.json.

Nothing there is code, and nothing is believed: every name, shape and size is checked against the one network that
the files can be before a value is read. The authors' own grid of images, where it lies beside the weights, must come
out of them.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError

from app.dataset.model import ModelCard
from app.errors import Conflict, Corrupt, Misconfigured
from workers.generator.cards import check_name
from workers.generator.registry import RESERVED
from workers.generator.sdbegan import FAMILY
from workers.generator.sdbegan import generator as sdbegan
from workers.generator.sdbegan.web_files import Files, open_web_files
from workers.generator.weights import save_model

FULLY, CONVOLUTION = "G/fully_connected", "G/Conv"
GRID = ("fig1/grid_zis", "fig1/grid_zos", "fig1/grid_Gzs")
"""u_I [rows, d_I], u_O [columns, d_O], and the images that the authors made of them [rows, columns, R, R, 3]."""
LERP = ("fig1/lerp_zs", "fig1/lerp_Gzs")
"""Another figure of the authors'; not read."""

MAX_GRID = 16
"""Rows and columns of a grid at the most."""

GRID_TOLERANCE = 0.01
"""Largest difference of a value from the authors' grid, of 255."""

NEVER_DEFAULT = "it was trained on photographs of real people (MS-Celeb-1M, since withdrawn by its publisher)"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came of an import."""

    folder: Path
    card: ModelCard
    grid_difference: float | None
    """Largest difference from the authors' grid, of 255; None where there is no grid beside the weights."""


def import_sdgan_web(source: Path, out: Path, name: str = "sdbegan") -> Imported:
    """Write `out`/`name` (card.json, weights.safetensors as float32) from the authors' files in `source`.

    Raises Corrupt for files that are not what they should be, RequestRefused for a name that cannot be given, and
    Conflict where the model's folder exists.
    """
    check_name("name", name, RESERVED)
    folder = out / name
    if folder.exists() or folder.is_symlink():
        raise Conflict(f"{folder} exists already; remove it, or give the model another name")
    files = open_web_files(source)
    architecture = architecture_of(files)
    tensors = read_tensors(files, architecture)
    difference = grid_difference(files, architecture, tensors)
    try:
        folder.mkdir(parents=True)
        try:
            card = save_model(folder, _card(name, architecture, tensors, difference), tensors, torch.float32)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except (OSError, SafetensorError) as exc:
        raise Misconfigured(f"{folder} cannot be written: {exc}") from exc
    return Imported(folder=folder, card=card, grid_difference=difference)


def architecture_of(files: Files) -> sdbegan.Architecture:
    """The network that the manifest's shapes belong to; raises Corrupt if there is none, before any file is read."""
    where = files.folder / "manifest.json"
    shapes = {name: entry.shape for name, entry in files.entries.items() if name not in (*GRID, *LERP)}
    first = shapes.get(f"{FULLY}/weights", ())
    kernel = shapes.get(f"{CONVOLUTION}/weights", ())
    if len(first) != 2 or len(kernel) != 4:
        raise Corrupt(
            f"{where} lists no {FULLY}/weights [latents, features] or no {CONVOLUTION}/weights [3, 3, channels, "
            "channels]; this is not the authors' SD-BEGAN"
        )
    convolutions = sum(bool(re.fullmatch(rf"{CONVOLUTION}(_\d+)?/weights", name)) for name in shapes)
    if first[0] % 2 or convolutions % 2 == 0:
        raise Corrupt(f"{where} has {first[0]} latents and {convolutions} convolutions; it should be even, and odd")
    stages = convolutions // 2
    try:
        architecture = sdbegan.Architecture(
            identity=first[0] // 2,
            observation=first[0] // 2,
            channels=kernel[3],
            resolution=sdbegan.START << min(max(stages - 1, 0), 16),
        )
    except ValueError as exc:
        raise Corrupt(f"{where} speaks of a network that cannot be: {exc}") from exc
    _compare_shapes(where, {name: shape for name, (_, shape) in _layout(architecture).items()}, shapes)
    grid = {name: files.entries[name].shape for name in GRID if name in files.entries}
    if grid:
        rows, columns = (min(grid.get(name, (1,))[0], MAX_GRID) for name in GRID[:2])
        side = architecture.resolution
        wanted = ((rows, architecture.identity), (columns, architecture.observation), (rows, columns, side, side, 3))
        _compare_shapes(where, dict(zip(GRID, wanted, strict=True)), grid)
    return architecture


def read_tensors(files: Files, architecture: sdbegan.Architecture) -> dict[str, torch.Tensor]:
    """The weights as the network's state: kernels from [h, w, in, out] to [out, in, h, w], matrices transposed."""
    tensors: dict[str, torch.Tensor] = {}
    for name, (ours, shape) in _layout(architecture).items():
        value = torch.from_numpy(files.read(name))
        order = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}[len(shape)]
        tensors[ours] = value.permute(order).contiguous()
    return tensors


def grid_difference(
    files: Files, architecture: sdbegan.Architecture, tensors: Mapping[str, torch.Tensor]
) -> float | None:
    """Largest difference, of 255, between the authors' grid and these weights' images of the same latents.

    None where there is no grid; raises Corrupt where it is more than GRID_TOLERANCE: then something is mixed up.
    """
    if GRID[0] not in files.entries:
        return None
    who, how, theirs = (files.read(name) for name in GRID)
    with torch.device("meta"):
        network = sdbegan.Decoder(architecture)
    network.load_state_dict(dict(tensors), assign=True)
    latents = np.concatenate([np.repeat(who, len(how), 0), np.tile(how, (len(who), 1))], 1)
    images = sdbegan.paint(network, latents, torch.device("cpu"))
    difference = float(np.abs((images + 1) * np.float32(127.5) - theirs.reshape(images.shape)).max())
    # Asked this way round: a difference that is no number is not small.
    if not difference <= GRID_TOLERANCE:
        raise Corrupt(
            f"{files.folder}: the authors' grid {GRID[2]} does not come out of these weights (it differs by "
            f"{difference:.3g} of 255; at most {GRID_TOLERANCE}): weights, latents and grid are not of one model"
        )
    return difference


def _layout(architecture: sdbegan.Architecture) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Their name → our name, and the shape in their order."""
    a = architecture
    features = a.channels * sdbegan.START**2
    layers: dict[str, tuple[str, tuple[int, ...]]] = {FULLY: ("start", (a.identity + a.observation, features))}
    for number in range(a.convolutions):
        theirs = f"{CONVOLUTION}_{number}" if number else CONVOLUTION
        layers[theirs] = (f"convolutions.{number}", (3, 3, a.channels, a.channels))
    layers[f"{CONVOLUTION}_{a.convolutions}"] = ("paint", (3, 3, a.channels, 3))
    return {
        f"{theirs}/{part}": (f"{ours}.{one}", shape if part == "weights" else shape[-1:])
        for theirs, (ours, shape) in layers.items()
        for part, one in (("weights", "weight"), ("biases", "bias"))
    }


def _compare_shapes(where: Path, wanted: Mapping[str, tuple[int, ...]], there: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in wanted.items():
        if name not in there:
            raise Corrupt(f"{where} lacks {name}")
        if there[name] != shape:
            raise Corrupt(f"{where}: {name} has the shape {list(there[name])}; it should be {list(shape)}")
    if extra := sorted(set(there) - set(wanted)):
        raise Corrupt(f"{where} lists {extra[0]}, which the authors' SD-BEGAN does not have")


def _card(
    name: str, architecture: sdbegan.Architecture, tensors: Mapping[str, torch.Tensor], difference: float | None
) -> dict[str, object]:
    side = architecture.resolution
    return {
        "name": name,
        "version": "1.0",
        "kind": FAMILY.kind,
        "drawing": FAMILY.drawing,
        "description": f"SD-BEGAN (Donahue et al., ICLR 2018) with its authors' own weights, {side}×{side} pixels: for "
        "comparison with published results. Not of clean provenance.",
        "sizes": [[side, side]],
        "latent": {
            "identity": architecture.identity,
            "observation": {sdbegan.FACTOR: [0, architecture.observation]},
        },
        "latent_map": "u = 2Φ(z) - 1, of z_I and of z_O with σ already on it: N(0, 1) becomes the U(-1, 1) of "
        "training, u never leaves [-1, 1], and beyond σ = 1 it gathers at the ends instead of leaving the range.",
        "licence": "MIT",  # how its authors license their code, and these weights beside it
        "provenance": "WARNING: trained by its authors on MS-Celeb-1M, photographs of real people gathered from the "
        "Web without asking them; its publisher has since withdrawn it. A generated face may resemble one of "
        "them. Not for data that must have nobody behind it; never the default. The licence is of code and weights, "
        "not of the photographs.",
        "never_default": NEVER_DEFAULT,
        "architecture": asdict(architecture),
        "parameters": sum(value.numel() for value in tensors.values()),
        # Not the difference itself: it is another one on another machine, and the model is the same.
        "imported": {
            "from": "sdgan-web",
            "grid": "not beside the weights" if difference is None else f"reproduced to {GRID_TOLERANCE} of 255",
        },
    }
