"""The map of the house names files and names that are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSE = (ROOT / "deploy" / "guide" / "house.md").read_text(encoding="utf-8")

PATH = re.compile(r"`([\w./-]+\.(?:py|md|json|html|toml|css|js|sh))(?:::(\w+))?`")
NAMED = sorted(
    {(match[1], match[2] or "") for match in PATH.finditer(HOUSE) if "/" in match[1] or match[1] == "pyproject.toml"}
)


def defined_in(path: Path) -> set[str]:
    """Names that a module has at its top."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_the_map_names_is_there(file: str, name: str) -> None:
    path = ROOT / file
    assert path.is_file(), f"deploy/guide/house.md names {file}, which is not there: say where it went"
    if name:
        assert name in defined_in(path), f"deploy/guide/house.md names {name} in {file}, which has no such name"


def test_the_map_shows_both_ways_in_ten_steps_and_names_tests() -> None:
    ways = re.split(r"^## ", HOUSE, flags=re.M)
    for title in ("The way of a request", "The way of a seed"):
        (way,) = (part for part in ways if part.startswith(title))
        assert len(re.findall(r"^\d+\. ", way, flags=re.M)) == 10
    rows = [line for line in HOUSE.splitlines() if line.startswith("| **")]
    assert len(rows) > 8
    for row in rows:
        assert "`tests/" in row.split("|")[3], f"no test is named for {row.split('|')[1].strip()}"
