"""Shell completion from the root on: commands, theirs, and options."""

import os
import subprocess
import sys

import pytest

COMMAND = "from app.cli.main import main; import sys; sys.argv[0] = 'facsimile'; main()"


@pytest.mark.parametrize(
    ("words", "expected"),
    [("facsimile pu", "pull"), ("facsimile pull --off", "--offline"), ("facsimile release cre", "create")],
)
def test_words_are_completed(words: str, expected: str) -> None:
    environment = {
        **os.environ,
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        "_FACSIMILE_COMPLETE": "complete_bash",
    }
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout.split() == [expected]
    assert ended.stderr == ""
