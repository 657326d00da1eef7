"""A pytest plugin: the fixture `facsimile_dataset` gives a release that is locked, cached and verified.

    def test_matcher(facsimile_dataset):
        gate = facsimile_dataset("gate-smoke@1.2.0")
        for comparison in gate.comparisons:
            score = compare(comparison.reference, comparison.probe)

Nothing is imported before a test asks for the fixture, so test runs that do not are not slowed down.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from app.client.released import ReleasedDataset

    GetDataset = Callable[..., ReleasedDataset]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our option and setting."""
    parser.getgroup("facsimile").addoption(
        "--facsimile-update-lock",
        action="store_true",
        help="Write releases that tests ask for into facsimile.lock, instead of refusing what it does not hold.",
    )
    parser.addini("facsimile_lock", "The lock file, relative to the root directory.", default="facsimile.lock")


@pytest.fixture(scope="session")
def facsimile_dataset(pytestconfig: pytest.Config) -> "GetDataset":
    """Get releases: facsimile_dataset("gate-smoke@1.2.0") → path, comparisons, manifest, digest.

    The release must be in the lock file, and comes out of the cache if it was pulled before: then no service is
    needed. It is verified each time it is first asked for in a test run. What cannot be had fails the test.
    """
    from app.client.locked import LockedDatasets
    from app.errors import FacsimileError

    lock = Path(pytestconfig.rootpath) / pytestconfig.getini("facsimile_lock")
    held = LockedDatasets(lock, update=bool(pytestconfig.getoption("--facsimile-update-lock")))

    def get(release: str, *, source: str | None = None) -> "ReleasedDataset":
        try:
            return held.get(release, source=source)
        except FacsimileError as exc:
            pytest.fail(f"facsimile_dataset({release!r}): {exc}", pytrace=False)

    return get
