"""What the documents show is done: their commands run in order against a service, their requests are accepted.

What cannot run here stands in `NOT_RUN`, with the reason, and with the test that shows it instead.
"""

import base64
import hmac
import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from app.cli.main import run
from app.jobs.webhooks.sender import signature

pytestmark = pytest.mark.integration
pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "deploy/client/README.md",
    *(
        f"deploy/guide/{path.name}"
        for path in sorted((ROOT / "deploy" / "guide").glob("*.md"))
        if path.name not in ("commands.md", "settings.md")  # references, made from the code
    ),
)

NOT_RUN = {
    r"bash deploy/quickstart\.sh": "installs the service from registries",
    r"bash tests/run\.sh": "is the suite that this test is a part of",
    r"pip (install|wheel) ": "builds distributions; tests/client/test_distribution.py",
    r"docker compose ": "needs a container engine",
    r"facsimile up$": "the stack that these commands speak to was started so; tests/stack",
    r"facsimile train (run|method|export|templates|corpus|photographs) ": "hours; tests/workers/test_train*.py",
    r"facsimile models import network\.pkl": "needs somebody's network; small ones in tests/generator/imported",
    r"facsimile models import ICT-FaceKit": "needs a clone of it; tests/generator/parametric/test_scans.py",
    r"FACSIMILE_WORKER__MODELS_DIR=models facsimile": "needs that model, too; tests/generator/imported",
}

SMALLER = {"subjects": 10, "samples_per_subject": 2, "distractors": 1, "report": {"judged_subjects": 0}}
"""What a request file of the documents is changed to, so that it is made in seconds."""

SMALLER_TWIN = " --subjects 20 --judged 0 --no-unique"
"""What is added where the documents make a twin of a gallery."""

SMALLER_CROWD = " --distractors 16"
"""What is added where the documents make a crowd of templates; the last word counts."""

ENDS = {"facsimile diff": {1}, "facsimile evaluate": {0, 3}}
"""Exit codes of commands that do not end with 0: the releases differ, and 20 samples decide little."""


class Shown(NamedTuple):
    """A line of a block of code."""

    document: str
    line: str


def blocks(document: str, *languages: str) -> list[str]:
    """The blocks of code of a document that are said to be in one of the languages."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        block for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if language in languages
    ]


def commands() -> Iterator[Shown]:
    for document in DOCUMENTS:
        for block in blocks(document, "", "sh", "bash", "console"):
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                if words := shlex.split(line, comments=True):
                    yield Shown(document, shlex.join(words).replace(".venv/bin/", ""))


def reason(line: str) -> str | None:
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, line)), None)


def test_every_reason_not_to_run_something_is_needed() -> None:
    lines = [shown.line for shown in commands()]
    assert len(lines) > 25
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, line) for line in lines)] == []
    for why in NOT_RUN.values():
        for path in re.findall(r"tests/[\w/.*]+\w", why):
            assert list(ROOT.glob(path)), f"{path} is named and not there"


@pytest.fixture(scope="module")
def folder(service: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a reader would stand: with the README's request in a file, and a service that is found."""
    here = tmp_path_factory.mktemp("reader")
    (text,) = (block for block in blocks("README.md", "json") if '"subjects"' in block)
    (here / "request.json").write_text(json.dumps({**json.loads(text), **SMALLER}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("FACSIMILE_URL", service.stack.url)
        patch.setenv("FACSIMILE_API_KEY", service.stack.api_key)
        patch.setenv("FACSIMILE_CACHE", str(here / "cache"))
        yield here


def prepare(line: str, here: Path, service: Any) -> str:
    """The line with what a reader puts in for ID; what it takes to be there, for it speaks of a later day."""
    if " ID " in line:
        (found,) = service.http.get("/v1/datasets", params={"name": "gate-7 smoke", "limit": 1}).json()["datasets"]
        line = line.replace(" ID ", f" {found['id']} ")
    if "@1.3.0" in line:
        assert run(["release", "create", "gate-smoke@1.3.0", "gate-7 lfw"]) == 0
    if "make photographs" in line:
        photographs(here / "photographs")
    if "--like" in line:
        line += SMALLER_TWIN
    if "--out crowd" in line:
        line += SMALLER_CROWD
    if "old.csv" in line:
        shutil.copy(here / "new.csv", here / "old.csv")
    if "lists.csv" in line:
        probes = {}
        for row in (here / "gate" / "comparisons.csv").read_text().splitlines()[1:]:
            reference, probe, mated = row.split(",")
            if mated == "1":
                probes[probe] = reference
        lists = [f"{probe},1,{reference},0.9" for probe, reference in probes.items()]
        (here / "lists.csv").write_text("\n".join(["probe,rank,reference,score", *lists, ""]))
    return line


def photographs(folder: Path) -> None:
    """A gallery of 40 people, one picture each: nobody, cut out of a contact sheet."""
    with Image.open(ROOT / "deploy" / "pictures" / "parametric.jpg") as sheet:
        side = sheet.size[0] // 8
        for number in range(40):
            top, left = (part * side for part in divmod(number, 8))
            (folder / f"person-{number:02d}").mkdir(parents=True)
            sheet.crop((left, top, left + side, top + side)).save(folder / f"person-{number:02d}" / "001.jpg")


class Done(NamedTuple):
    """A command that was run."""

    document: str
    line: str
    code: int
    told: str


@pytest.fixture(scope="module")
def done(folder: Path, service: Any) -> list[Done]:
    """Every command that can run here, in the documents' order, each once."""
    found: dict[str, Done] = {}
    for document, line in commands():
        if reason(line) or line in found:
            continue
        words = shlex.split(prepare(line, folder, service))
        assert words[0] == "facsimile", f"{document}: {line}: run it, or say in NOT_RUN why not"
        with redirect_stderr(StringIO()) as told, redirect_stdout(told):
            code = run(words[1:])
        found[line] = Done(document, line, code, told.getvalue())
    return list(found.values())


def test_the_documents_commands_run_one_after_the_other(done: list[Done], folder: Path) -> None:
    assert len(done) >= 15
    for document, line, code, told in done:
        wanted = next((codes for start, codes in ENDS.items() if line.startswith(start)), {0})
        assert code in wanted, f"{document}: {line}: ended with {code}: {told[-2000:]}"
    for name in (
        "twin.html",
        "searches.svg",
        "sheet.png",
        "report.html",
        "verdict.xml",
        "summary.md",
        "det.svg",
        "gallery-lfw/layouts",
        "lfw",
    ):
        assert (folder / name).exists(), name


def test_the_documents_requests_are_accepted_as_they_stand(service: Any) -> None:
    found = [(document, block) for document in DOCUMENTS for block in blocks(document, "json")]
    assert found
    for document, block in found:
        answer = service.http.post("/v1/estimates", json=json.loads(block))
        assert answer.status_code == 200, f"{document}: {answer.text}"


@pytest.mark.usefixtures("done")
def test_the_documents_python_runs_under_pytest(
    folder: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the release that the commands above have locked and pulled, without the service."""
    monkeypatch.setenv("FACSIMILE_URL", "http://127.0.0.1:9")
    shutil.copy(folder / "facsimile.lock", pytester.path)
    found = [block for document in DOCUMENTS for block in blocks(document, "python") if "def test_" in block]
    assert len(found) == 2
    for block in found:
        matcher = "def my_matcher(reference, probe):\n    return float(reference == probe)\n\n\n"
        pytester.makepyfile(matcher + block)
        pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_the_documents_check_of_a_webhook_takes_ours_and_no_other() -> None:
    (shown,) = (block for document in DOCUMENTS for block in blocks(document, "python") if "webhook-signature" in block)
    secret, body, now = (
        "whsec_" + base64.b64encode(bytes(range(24))).decode(),
        b'{"type":"dataset.succeeded"}',
        int(time.time()),
    )
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature(secret, "evt_1", now, body),
    }
    names = {"base64": base64, "hmac": hmac, "time": time, "secret": secret, "headers": headers}
    exec(shown, {**names, "body": body})
    with pytest.raises(AssertionError):
        exec(shown, {**names, "body": body + b" "})
    with pytest.raises(AssertionError):
        exec(shown, {**names, "body": body, "headers": {**headers, "webhook-timestamp": str(now - 400)}})
