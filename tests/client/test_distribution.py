"""The client as a distribution of its own: what its wheel holds, what it takes, and that it fits beside an `app`."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "deploy" / "client"
AT_MOST_BYTES = 40_000_000
TEXTS = (".py", ".md", ".toml", ".sh", ".yml", ".yaml", ".lock", ".html", ".txt", "Dockerfile", "run")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's wheel, built as pip builds it, without an index."""
    to = tmp_path_factory.mktemp("wheel")
    before = sorted(CLIENT.rglob("*"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    built = subprocess.run([*command, str(CLIENT), "-w", str(to)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert [path for path in sorted(CLIENT.rglob("*")) if "__pycache__" not in path.parts] == [
        path for path in before if "__pycache__" not in path.parts
    ]
    (found,) = to.iterdir()
    return found


def required(names: list[str]) -> Iterator[importlib.metadata.Distribution]:
    """The distributions that pip would bring for these requirements, themselves included."""
    seen: set[str] = set()
    left = [Requirement(name) for name in names]
    while left:
        wanted = left.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in seen:
            continue
        seen.add(name)
        found = importlib.metadata.distribution(wanted.name)
        assert wanted.specifier.contains(found.version)
        left += map(Requirement, found.requires or [])
        yield found


def put_in(site: Path, distributions: Iterator[importlib.metadata.Distribution]) -> int:
    """Copy distributions into an environment; returns their size in bytes."""
    total = 0
    for distribution in distributions:
        for file in distribution.files or []:
            source = Path(str(distribution.locate_file(file)))
            if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
                continue
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, site / file)
            total += source.stat().st_size
    return total


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty virtual environment with the client and what it requires in it, nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    size = put_in(site, required(project["dependencies"]))
    size += sum(path.stat().st_size for path in site.glob("facsimile*/**/*.py"))
    assert size <= AT_MOST_BYTES, f"the client and all that it brings: {size / 1e6:.1f} MB"
    put_in(site, required(["pytest>=8"]))  # the user's own
    return folder


def test_the_wheel_holds_one_package_and_nothing_of_the_service(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        texts = {name: packed.read(name).decode() for name in names if name.endswith(".py")}
    assert {name.split("/")[0].removesuffix(".dist-info").partition("-")[0] for name in names} == {
        "facsimile_client",
        "facsimile_faces_client",
    }
    for part in ("api", "jobs", "stack", "storage.py", "queue.py", "access.py", "main.py"):
        assert not [name for name in names if name.startswith(f"facsimile_client/{part}")]
    for name, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in ("app", "workers"), name


def test_both_distributions_have_one_version(wheel: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert wheel.name.startswith(f"facsimile_faces_client-{version}-")


def test_what_both_need_both_need_in_the_same_versions() -> None:
    service = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    client = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]

    def all_of(project: dict[str, Any]) -> set[str]:
        return {
            item for items in (project["dependencies"], *project["optional-dependencies"].values()) for item in items
        }

    assert all_of(client) <= all_of(service)


def test_every_package_that_its_modules_import_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("stage", CLIENT / "stage.py")
    assert spec
    assert spec.loader
    stage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stage)
    imported = set()
    for module in stage.modules():
        for node in ast.walk(ast.parse(stage._file(module).read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    imported -= {*sys.stdlib_module_names, "app", "workers"}
    # The user's own, and a matcher that says itself what to install.
    imported -= {"pytest", "dlib", "google"}  # google: protobuf, which onnx brings
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    groups = (project["dependencies"], *project["optional-dependencies"].values())
    declared = {re.sub(r"[-_.]+", "-", Requirement(item).name).lower() for group in groups for item in group}
    owners = {"faiss": ["faiss-cpu"], **importlib.metadata.packages_distributions()}  # faiss need not be installed here
    for name in sorted(imported):
        names = {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners.get(name, [])}
        assert names & declared, f"{name} is imported, and none of {sorted(names)} is declared"


def in_project(environment: Path, project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run one of the environment's modules in a project whose own packages are called app and workers."""
    for name in ("app", "workers"):
        (project / name).mkdir(exist_ok=True)
        (project / name / "__init__.py").write_text('raise ImportError("this is the project\'s own package")\n')
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("FACSIMILE_", "PYTHON"))}
    variables |= {"PYTHONPATH": str(project), "FACSIMILE_CACHE": str(project / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    python = str(environment / "bin" / "python")
    return subprocess.run([python, *command], cwd=project, env=variables, capture_output=True, text=True, check=False)


FACSIMILE = ("-c", "import sys; from facsimile_client.cli.main import main; sys.argv[0] = 'facsimile'; main()")


def test_every_module_but_those_of_an_extra_loads_beside_an_app(environment: Path, tmp_path: Path) -> None:
    code = (
        "import importlib, pkgutil, sys, facsimile_client as c\n"
        "names = [m.name for m in pkgutil.walk_packages(c.__path__, 'facsimile_client.', onerror=lambda name: None)]\n"
        "assert len(names) > 50, names\n"
        "for name in names:\n"
        "    if not name.startswith(('facsimile_client.workers', 'facsimile_client.config')):\n"
        "        importlib.import_module(name)\n"
        "bad = {'fastapi', 'celery', 'minio', 'torch', 'numpy', 'redis', 'uvicorn'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)\n"
    )
    ended = in_project(environment, tmp_path, "-c", code)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_command_works_beside_an_app(environment: Path, tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert in_project(environment, tmp_path, *FACSIMILE, "--version").stdout == f"facsimile {version}\n"
    helped = in_project(environment, tmp_path, *FACSIMILE, "--help")
    assert helped.returncode == 0
    assert all(name in helped.stdout for name in ("pull", "lock", "verify", "generate", "evaluate", "match"))
    assert "quickstart" not in helped.stdout
    for command, told in ((("up",), "facsimile-faces"), (("match", ".", "--out", "x"), "extra 'match'")):
        ended = in_project(environment, tmp_path, *FACSIMILE, *command)
        assert ended.returncode == 2
        assert told in ended.stderr
        assert "Traceback" not in ended.stderr


def test_the_pytest_plugin_works_beside_an_app(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text('def test_it(facsimile_dataset): facsimile_dataset("gate-smoke@1.2.0")\n')
    ended = in_project(environment, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "facsimile.lock does not hold gate-smoke@1.2.0" in ended.stdout


def test_an_sdist_builds_without_the_checkout(tmp_path: Path) -> None:
    code = "import stage, sys; print(stage.build_sdist(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=CLIENT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    shutil.unpack_archive(next(tmp_path.glob("*.tar.gz")), tmp_path)
    project = tomllib.loads(next(tmp_path.glob("*/pyproject.toml")).read_text())
    assert project["build-system"] == {"requires": ["setuptools>=80"], "build-backend": "setuptools.build_meta"}
    assert next(tmp_path.glob("*/facsimile_client/cli/main.py")).is_file()


def test_nobody_is_told_to_install_somebody_elses_package() -> None:
    """`facsimile` on the Python Package Index belongs to others: no text of ours may bring anybody to install it."""
    install = re.compile(r"(?:pip|uv|pipx|poetry)\S*\s+(?:tool )?(?:install|add|run)\b.*?[\s'\"=]facsimile(?![\w./])")
    assert install.search("pip install 'facsimile[worker]'")
    assert install.search("pip install --upgrade facsimile")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    wrong = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if name.endswith(TEXTS) and path.is_file() and path != Path(__file__):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            wrong += [f"{name}:{number}" for number, line in enumerate(lines, 1) if install.search(line)]
    assert not wrong
