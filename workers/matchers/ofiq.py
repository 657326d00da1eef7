"""OFIQ, the reference implementation of ISO/IEC 29794-5, where an operator has installed it.

No package carries its models (453 MB), so Facsimile brings none of it: FACSIMILE_WORKER__OFIQ names the sample
application (or a program that takes its arguments), FACSIMILE_WORKER__OFIQ_DATA its data folder. It is run as

    OFIQSampleApp -c DATA -cf ofiq_config.jaxn -i FOLDER -o FILE.csv

and writes `Filename;NAME…;NAME.scalar…;assessment_time_in_ms;`, where a scalar of -1 is a failure to assess.
"""

import csv
import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.config import WorkerSettings
from app.errors import Corrupt, Misconfigured
from workers.images import Pixels
from workers.matchers.iso29794 import Component

CONFIG = "ofiq_config.jaxn"
SCALAR = ".scalar"
SECONDS_AN_IMAGE = 60
START_S = 120
"""Loading the models."""

Assessment = dict[str, Component | None]
"""Every component by name, UnifiedQualityScore among them; None where OFIQ failed to assess it."""


@dataclass(frozen=True, kw_only=True)
class Ofiq:
    """An installed OFIQ."""

    program: Path
    data: Path

    def assess(self, images: Iterable[Pixels]) -> list[Assessment]:
        """Assess images, in their order; raises Misconfigured if the program fails, Corrupt if a row is missing."""
        with tempfile.TemporaryDirectory(prefix="facsimile-ofiq-") as name:
            folder, table = Path(name) / "images", Path(name) / "ofiq.csv"
            folder.mkdir()
            files: list[str] = []
            for number, pixels in enumerate(images):
                files.append(f"{number:08d}.png")
                Image.fromarray(pixels).save(folder / files[-1])
            if not files:
                return []
            self._run(folder, table, timeout_s=START_S + SECONDS_AN_IMAGE * len(files))
            rows = read_table(table)
        if sorted(rows) != files:
            raise Corrupt(f"{self.program} was given {len(files)} images and its table names {len(rows)}")
        return [rows[file] for file in files]

    def _run(self, folder: Path, table: Path, timeout_s: float) -> None:
        command: list[str | Path] = [self.program, "-c", self.data, "-cf", CONFIG, "-i", folder, "-o", table]
        try:
            # The program is the operator's own setting; no shell is involved.
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise Misconfigured(f"OFIQ cannot be run as {self.program}: {exc}") from exc
        if done.returncode or not table.is_file():
            said = (done.stderr or done.stdout).strip()[-300:]
            raise Misconfigured(f"{self.program} ended with {done.returncode} and wrote no table: {said}")


def read_table(path: Path) -> dict[str, Assessment]:
    """Read OFIQ's table: file name (without folder) to its assessment; raises Corrupt, naming file and line."""
    rows: dict[str, Assessment] = {}
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file, delimiter=";")
        names = [field.removesuffix(SCALAR) for field in lines.fieldnames or () if field.endswith(SCALAR)]
        if not names or "Filename" not in (lines.fieldnames or ()):
            raise Corrupt(f"{path} is no table of OFIQ's: its first line names no component")
        for line in lines:
            name = Path(line["Filename"]).name
            if name in rows:
                raise Corrupt(f"{path}, line {lines.line_num}: {name} comes twice")
            try:
                rows[name] = {component: _component(line, component) for component in names}
            except (KeyError, TypeError, ValueError) as exc:
                raise Corrupt(f"{path}, line {lines.line_num}: {exc}") from exc
    return rows


def _component(line: dict[str, str], name: str) -> Component | None:
    quality = int(line[name + SCALAR])
    return None if quality == -1 else Component(float(line[name]), quality)


def installed_ofiq(settings: WorkerSettings) -> Ofiq | None:
    """OFIQ, where the settings name it; raises Misconfigured if they name what is not there, or half of it."""
    return load_ofiq(settings) if settings.ofiq or settings.ofiq_data else None


def load_ofiq(settings: WorkerSettings) -> Ofiq:
    """OFIQ as the settings name it; raises Misconfigured, saying what is missing, where it is not there."""
    if not settings.ofiq or not settings.ofiq_data:
        raise Misconfigured(
            "OFIQ is not installed here: set FACSIMILE_WORKER__OFIQ to its sample application and "
            "FACSIMILE_WORKER__OFIQ_DATA to its data folder; no other measure stands in for it"
        )
    program, data = Path(settings.ofiq), Path(settings.ofiq_data)
    if not program.is_file() or not os.access(program, os.X_OK):
        raise Misconfigured(f"FACSIMILE_WORKER__OFIQ names {program}, which is not a program")
    if not (data / CONFIG).is_file():
        raise Misconfigured(f"FACSIMILE_WORKER__OFIQ_DATA names {data}, which holds no {CONFIG}")
    return Ofiq(program=program, data=data)
