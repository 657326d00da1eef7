"""A corpus on disk: `corpus.json` says what it is, `part-NNNNNN.safetensors` hold the images and their labels.

Columns of a part, N samples each (subjects are whole within a part):

    head         uint8   [N, H, W, 4]  display values over nothing: RGB multiplied by alpha, and alpha
    landmarks    float32 [N, 183, 2]   x, y in [0, 1] from the top left; see workers.generator.landmarks
    identity     float32 [N, d_I]      z_I; attributes are read off it, see workers.generator.latents
    observation  float32 [N, d_O]      z_O as drawn, its scale included
    subject      int32   [N]
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from safetensors import SafetensorError
from safetensors.numpy import load_file

from app.errors import Corrupt, RequestRefused
from workers.generator.latents import CURRENT, FIRST
from workers.training.files import save_whole, write_whole

Columns = dict[str, NDArray[Any]]

COLUMNS = ("head", "landmarks", "identity", "observation", "subject")

DRAWN_BY = {
    "0df53fcd6054f35cfa989928d584b94cf4d521cc458418dbd5d8d95dbcc9fda8": "parametric 1",
    "c78e220d05542059d42b1709cfd2078ee4be8a0374f04450331a933f3c37bf9a": "parametric 1, cycles 1",
}
"""What the last source texts that corpora were told apart by drew: a corpus begun by them can be gone on with."""


class CorpusSpec(BaseModel):
    """What decides every byte of a corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 2
    """2: 183 landmarks; 1 had 48."""
    seed: int = 0
    subjects: int = Field(gt=0)
    samples_per_subject: int = Field(4, ge=2)
    size: int = Field(64, ge=16, le=1024)
    """Pixels a side."""
    scale: tuple[float, float] = (0.2, 1.6)
    """σ of each sample's observation, uniform between these."""
    subjects_per_part: int = Field(64, gt=0)
    layout: int = Field(default_factory=lambda: CURRENT.version, ge=1)
    """Of its latents, see workers.generator.latents: what the renderer draws, unless told otherwise."""
    renderer: Literal["opengl", "cycles"] = "opengl"
    blender: str | None = None
    """Version of the Blender whose Cycles traces it; another's pictures differ."""
    drawing: str | None = None
    """Which version of the renderer's pictures (render.drawing_version): another's differ."""
    heads: str | None = None
    """SHA-256 of the heads whose shapes its people have (workers.generator.parametric.scans); None for sliders. Their
    file lies in the corpus's folder."""
    code: str | None = None
    """In a corpus of before: SHA-256 of the source text that drew it. The oldest corpora say neither."""

    @model_validator(mode="after")
    def _cycles_is_blenders(self) -> Self:
        if (self.renderer == "cycles") != (self.blender is not None):
            raise ValueError("a corpus by cycles names the version of its Blender, and no other does")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what older corpora do not have, where it says nothing: their digests stay."""
        written: dict[str, Any] = write(self)
        if self.renderer == "opengl":
            del written["renderer"], written["blender"]
        if self.layout == FIRST.version:
            del written["layout"]
        for name in ("drawing", "heads", "code"):
            if written[name] is None:
                del written[name]
        return written

    @property
    def drawn(self) -> str | None:
        """Which pictures are in it, as far as it says."""
        return self.drawing or DRAWN_BY.get(self.code or "", self.code)

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-self.subjects // self.subjects_per_part)

    def part(self, number: int) -> range:
        """Subjects of a part."""
        return range(number * self.subjects_per_part, min((number + 1) * self.subjects_per_part, self.subjects))


def part_path(folder: Path, number: int) -> Path:
    """File of a part."""
    return folder / f"part-{number:06d}.safetensors"


def open_corpus(folder: Path, spec: CorpusSpec) -> None:
    """Begin a corpus, or go on with one; raises RequestRefused if another is in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "corpus.json"
    if path.exists():
        there = read_spec(folder)
        settings = spec.model_copy(update={"drawing": there.drawing, "code": there.code})
        if there != settings or there.drawn != spec.drawn:
            what = f"holds another corpus ({there})"
            if there == settings:
                what = "was begun by another version of the renderer, whose pictures may differ"
            raise RequestRefused([("folder", f"{folder} {what}; name an empty folder or use its settings")])
        return
    write_whole(path, spec.model_dump_json(indent=1).encode())


def read_spec(folder: Path) -> CorpusSpec:
    """Read what a corpus is; raises Corrupt."""
    path = folder / "corpus.json"
    try:
        # What the oldest corpora do not say is the first layout.
        return CorpusSpec.model_validate({"layout": FIRST.version, **json.loads(path.read_bytes())})
    except FileNotFoundError as exc:
        raise Corrupt(f"{folder} is not a corpus: there is no corpus.json in it") from exc
    except (ValueError, TypeError) as exc:  # no JSON, no object, or other fields
        raise Corrupt(f"{path} cannot be read: {exc}") from exc


def write_part(folder: Path, number: int, columns: Columns) -> None:
    """Write a part; raises DiskFull."""
    save_whole(part_path(folder, number), {name: np.ascontiguousarray(columns[name]) for name in COLUMNS})


def read_part(folder: Path, number: int) -> Columns:
    """Read a part; raises Corrupt with its name."""
    path = part_path(folder, number)
    try:
        columns: Columns = load_file(path)
    except (OSError, SafetensorError) as exc:
        raise Corrupt(f"{path} cannot be read ({exc}); remove it and render again") from exc
    if set(columns) != set(COLUMNS) or len({len(column) for column in columns.values()}) != 1:
        raise Corrupt(f"{path} does not have the columns of a part; remove it and render again")
    return columns


def missing_parts(folder: Path, spec: CorpusSpec) -> list[int]:
    """Numbers of the parts that are not there yet."""
    return [number for number in range(spec.parts) if not part_path(folder, number).exists()]


def so_far(folder: Path, spec: CorpusSpec) -> CorpusSpec:
    """The corpus of the parts that are there without a gap, while others are being rendered; raises Corrupt for none.

    It is what a smaller corpus of the same settings would be, to the byte.
    """
    missing = missing_parts(folder, spec)
    if missing[:1] == [0]:
        raise Corrupt(f"{folder} has no first part yet; wait until one is rendered")
    return spec.model_copy(update={"subjects": missing[0] * spec.subjects_per_part}) if missing else spec


def corpus_digest(folder: Path, spec: CorpusSpec | None = None) -> str:
    """SHA-256 over the spec (the folder's own, unless another is given) and every part's own, in order."""
    spec = spec or read_spec(folder)
    total = hashlib.sha256(json.dumps(spec.model_dump(mode="json"), sort_keys=True).encode())
    for number in range(spec.parts):
        with part_path(folder, number).open("rb") as part:
            total.update(hashlib.file_digest(part, "sha256").digest())
    return total.hexdigest()
