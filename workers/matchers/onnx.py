"""A user's own matcher as data: an ONNX file and a JSON card beside it, run by OpenCV. No code of the user's runs.

MATCHERS_DIR/NAME/card.json, with every field but those that have a default:

    {"name": "gate-7", "version": "2.1", "file": "gate7.onnx", "sha256": "…",
     "size": 112, "colour": "rgb", "mean": [127.5, 127.5, 127.5], "scale": 0.0078125,
     "alignment": "arcface", "dimensions": 512, "metric": "cosine", "provenance": "…"}

What the network gets is float32 [1, 3, size, size] = (chip - mean) × scale, its channels in the card's order.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import uses_external_data
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.dataset.model import CARD_NAME
from app.errors import Corrupt
from workers.images import Pixels
from workers.matchers.alignment import align
from workers.matchers.base import NetworkMatcher, Template
from workers.matchers.comparison import DEFINITIONS, unit
from workers.matchers.detector import Face, start_opencv
from workers.matchers.files import check_sha256

MAX_BYTES = 1024 * 1024 * 1024
"""A network larger than this is refused before it is opened."""

Point = tuple[float, float]
Channels = tuple[float, float, float]


class MatcherCard(BaseModel):
    """What must be known of an ONNX file to use it as a matcher."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=CARD_NAME)
    version: str = Field(min_length=1)
    file: str = Field(pattern=r"^[^/\\]+\.onnx$")
    """In the card's own folder."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    input: str = ""
    """Name of the network's input; may be left out where there is one."""
    output: str = ""
    """Name of the output that is the template; may be left out where there is one."""
    size: int = Field(ge=32, le=1024)
    """Pixels a side of the chip."""
    colour: Literal["rgb", "bgr"]
    """Order of the channels that the network was trained on."""
    mean: Channels = (0.0, 0.0, 0.0)
    """Taken off pixels of 0 to 255, in the order of `colour`."""
    scale: float = Field(1.0, gt=0)
    """By which what is left is multiplied."""
    alignment: Literal["arcface"] | Annotated[tuple[Point, ...], Field(min_length=5, max_length=5)]
    """`arcface`, its five points scaled to `size`; or where right eye, left eye, nose, right and left corner of the
    mouth (the subject's) shall lie, in the chip's pixels."""
    dimensions: int = Field(gt=0, le=65_536)
    metric: Literal["cosine", "minus-euclidean"]
    """How the score is made; templates of `cosine` are divided by their length here."""
    provenance: str
    """What it was trained on, and under which licence it is used."""


class OnnxMatcher(NetworkMatcher):
    """A matcher out of a card; one a process."""

    def __init__(self, card: MatcherCard, path: Path) -> None:
        """Open the network at `path`; raises Corrupt, naming it, for one that does not do what the card says."""
        self.card = card
        self.name, self.version, self.dimensions = card.name, card.version, card.dimensions
        self.score, self.provenance = DEFINITIONS[card.metric], card.provenance
        try:
            self._net = cv2.dnn.readNetFromONNX(str(path))
            tried = self._run(np.zeros((card.size, card.size, 3), np.uint8))
        except cv2.error as exc:
            raise Corrupt(f"{path} cannot be run as the ONNX network that its card speaks of: {exc.err}") from exc
        if tried.shape != (card.dimensions,):
            raise Corrupt(f"{path} gives {tried.size} numbers and its card says {card.dimensions}")

    @property
    def digest(self) -> str:
        """See Matcher."""
        return self.card.sha256

    @cached_property
    def _target(self) -> np.ndarray | None:
        return None if self.card.alignment == "arcface" else np.array(self.card.alignment, np.float64)

    def align(self, pixels: Pixels, face: Face) -> Pixels:
        """Aligned face, uint8 [size, size, 3] RGB, by the face's five points."""
        return align(pixels, face.points, self.card.size, self._target)

    def template(self, chip: Pixels) -> Template:
        """Template of a chip, float32 [dimensions]; of length 1 where the metric is the cosine."""
        raw = self._run(chip)
        return unit(raw) if self.card.metric == "cosine" else raw

    def _run(self, chip: Pixels) -> Template:
        pixels = chip if self.card.colour == "rgb" else chip[..., ::-1]
        blob = (pixels.astype(np.float32) - np.array(self.card.mean, np.float32)) * np.float32(self.card.scale)
        self._net.setInput(np.ascontiguousarray(blob.transpose(2, 0, 1)[None]), self.card.input)
        return np.array(self._net.forward(self.card.output), np.float32).ravel()


def read_matcher_card(folder: Path) -> MatcherCard:
    """Read a matcher's card.json; raises Corrupt, naming the file and the field."""
    path = folder / "card.json"
    try:
        card = MatcherCard.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise Corrupt(f"{path} cannot be read: {exc}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Corrupt(f"{path} is not a matcher's card: {where}: {first['msg']}") from exc
    if card.name != folder.name:
        raise Corrupt(f"{path} calls the matcher {card.name!r}; its folder must have the same name")
    return card


def load_onnx_matcher(folder: Path) -> OnnxMatcher:
    """Load the matcher of a folder; raises Corrupt, naming the file, unless all of it is as the card says.

    Checked in this order: the card, the file's size, its digest, that it is the whole network, that OpenCV can run it,
    what it gives.
    """
    card = read_matcher_card(folder)
    start_opencv()
    return OnnxMatcher(card, check_network(folder, card))


def check_network(folder: Path, card: MatcherCard) -> Path:
    """Path of the network that a card names; raises Corrupt, naming the file, unless the card's digest covers it all.

    An ONNX file can keep weights in further files, anywhere on the disk: they could be swapped behind the digest's
    back, so such a network is refused before anything of them is opened.
    """
    path = folder / card.file
    if not path.is_file():
        raise Corrupt(f"{path} is missing; {folder / 'card.json'} names it")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise Corrupt(f"{path} has {size:,} bytes; at most {MAX_BYTES:,} are loaded")
    check_sha256(path, card.sha256, str(folder / "card.json"))
    try:
        network = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as exc:
        raise Corrupt(f"{path} cannot be run as the ONNX network that its card speaks of: it is no ONNX file") from exc
    outside = sorted({_location(tensor) for tensor in _tensors(network) if uses_external_data(tensor)})
    if outside:
        raise Corrupt(
            f"{path} keeps weights in another file ({', '.join(map(repr, outside[:3]))}), which its digest does not "
            "cover; save it as one file: onnx.save_model(onnx.load(path), path, save_as_external_data=False)"
        )
    return path


def _tensors(network: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a network: of its graph, of graphs within its nodes, of its functions, of training."""
    for graph in (network.graph, *(part for info in network.training_info for part in _graphs_of_training(info))):
        yield from _tensors_of_graph(graph)
    for function in network.functions:
        for node in function.node:
            yield from _tensors_of_node(node)


def _graphs_of_training(info: onnx.TrainingInfoProto) -> tuple[onnx.GraphProto, onnx.GraphProto]:
    return info.initialization, info.algorithm


def _tensors_of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _tensors_of_node(node)


def _tensors_of_node(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _tensors_of_graph(graph)


def _location(tensor: onnx.TensorProto) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
