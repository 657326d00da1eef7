"""OFIQ as an outside program: a table is read or refused, and where OFIQ is not there nothing stands in for it.

The program itself cannot be had here: a script that writes a table in its form takes its place.
"""

from pathlib import Path

import numpy as np
import pytest

from app.config import WorkerSettings
from app.errors import Corrupt, Misconfigured
from workers.matchers.ofiq import CONFIG, Ofiq, installed_ofiq, load_ofiq, read_table
from workers.pipeline.judge import ofiq_columns

HEADER = "Filename;UnifiedQualityScore;Sharpness;UnifiedQualityScore.scalar;Sharpness.scalar;assessment_time_in_ms;"

WRITES_A_TABLE = f"""#!/bin/sh
# -c DATA -cf CONFIG -i FOLDER -o TABLE
test "$1 $3 $4 $5 $7" = "-c -cf {CONFIG} -i -o" || exit 7
{{
    echo '{HEADER}'
    for file in "$6"/*.png; do echo "$file;25.5;0.000000;71;-1;12"; done
}} >"$8"
"""


@pytest.fixture
def installed(tmp_path: Path) -> Ofiq:
    (tmp_path / CONFIG).write_text("{}")
    program = tmp_path / "OFIQSampleApp"
    program.write_text(WRITES_A_TABLE)
    program.chmod(0o755)
    return load_ofiq(WorkerSettings(ofiq=str(program), ofiq_data=str(tmp_path)))


def test_every_image_gets_its_assessment(installed: Ofiq) -> None:
    rows = installed.assess([np.zeros((8, 8, 3), np.uint8)] * 3)
    assert rows == [{"UnifiedQualityScore": (25.5, 71), "Sharpness": None}] * 3
    assert installed.assess([]) == []


def test_where_it_is_not_there_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="not installed here: set FACSIMILE_WORKER__OFIQ"):
        load_ofiq(WorkerSettings())
    with pytest.raises(Misconfigured, match="which is not a program"):
        load_ofiq(WorkerSettings(ofiq=str(tmp_path / "none"), ofiq_data=str(tmp_path)))
    with pytest.raises(Misconfigured, match=f"holds no {CONFIG}"):
        load_ofiq(WorkerSettings(ofiq="/bin/sh", ofiq_data=str(tmp_path)))


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("#!/bin/sh\necho 'no models' >&2\nexit 3\n", Misconfigured, "ended with 3 .* no models"),
        ("#!/bin/sh\nexit 0\n", Misconfigured, "wrote no table"),
        ("not a program", Misconfigured, "cannot be run"),
        (f'#!/bin/sh\necho "{HEADER}" >"$8"\n', Corrupt, "given 1 images and its table names 0"),
    ],
)
def test_a_program_that_fails_is_named(installed: Ofiq, script: str, error: type[Exception], message: str) -> None:
    installed.program.write_text(script)
    with pytest.raises(error, match=message):
        installed.assess([np.zeros((8, 8, 3), np.uint8)])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b"], "names no component"),
        ([HEADER, "a.png;1;1;50;50;1", "b/a.png;1;1;50;50;1"], "line 3: a.png comes twice"),
        ([HEADER, "a.png;1;1;many;50;1"], "line 2: invalid literal"),
        ([HEADER, "a.png;1"], "line 2"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines))
    with pytest.raises(Corrupt, match=message):
        read_table(table)


def test_what_it_says_of_samples_are_columns_of_their_own(installed: Ofiq) -> None:
    assert ofiq_columns(installed, [np.zeros((8, 8, 3), np.uint8)] * 2) == [{"ofiq.UnifiedQualityScore": 71.0}] * 2


def test_set_in_part_it_is_refused_and_not_left_out(tmp_path: Path) -> None:
    assert installed_ofiq(WorkerSettings()) is None
    with pytest.raises(Misconfigured, match="set FACSIMILE_WORKER__OFIQ to its sample application"):
        installed_ofiq(WorkerSettings(ofiq_data=str(tmp_path)))
