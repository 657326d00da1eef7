"""Templates handed in: the comparisons made are those of the list, in either form and by either metric."""

import io
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from app.dataset.names import sample_name
from workers.biometrics.errors import ScoresRefused
from workers.verdict.compared import compare
from workers.verdict.sources import read_blocks


def templates_of(made: Any, seed: int = 0) -> tuple[list[str], NDArray[np.float32]]:
    names = sorted({sample_name(*place) for pair in made.pairs for place in pair})
    rng = np.random.default_rng(seed)
    centres = {name[:8]: rng.normal(size=16) for name in names}
    return names, np.array([centres[name[:8]] + rng.normal(size=16) for name in names], np.float32)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def pieces(data: bytes) -> list[bytes]:
    return [data[at : at + 1_000] for at in range(0, len(data), 1_000)]


def single(made: Any, names: list[str], templates: NDArray[np.float32], metric: str) -> NDArray[np.float64]:
    """Every comparison by itself, in float64."""
    rows = dict(zip(names, templates.astype(np.float64), strict=True))
    scores = []
    for pair in made.pairs:
        left, right = (rows[sample_name(*place)] for place in pair)
        if metric == "cosine":
            scores.append(left @ right / np.linalg.norm(left) / np.linalg.norm(right))
        else:
            scores.append(-np.linalg.norm(left - right))
    return np.array(scores)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("selection", ["crossed", "balanced"])
def test_the_comparisons_listed_are_made(
    selection: str, metric: Literal["cosine", "euclidean"], make_set: Callable[..., Any]
) -> None:
    made = make_set(15, 4, selection)
    names, templates = templates_of(made)
    order = np.random.default_rng(1).permutation(len(names))
    data = npz(ids=np.array(names)[order], templates=templates[order])
    found = compare(made.listed, read_blocks(pieces(data), made.listed, metric))
    expected = single(made, names, templates, metric)
    np.testing.assert_allclose(found.mated_sorted, np.sort(expected[made.mated]), atol=2e-5)
    np.testing.assert_allclose(found.tail.scores, np.sort(expected[~made.mated])[::-1], atol=2e-5)


def test_one_array_an_id_and_parquet_are_the_same(make_set: Callable[..., Any]) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    made = make_set(15, 4)
    names, templates = templates_of(made)
    file = io.BytesIO()
    pq.write_table(pa.table({"id": names, "template": list(templates)}), file)
    forms = [npz(ids=np.array(names), templates=templates), npz(**dict(zip(names, templates, strict=True)))]
    digests = {
        compare(made.listed, read_blocks(pieces(data), made.listed, "cosine")).digest
        for data in (*forms, file.getvalue())
    }
    assert len(digests) == 1


def test_a_row_of_nan_is_a_failure(make_set: Callable[..., Any]) -> None:
    made = make_set(15, 4)
    names, templates = templates_of(made)
    templates[1] = np.nan
    found = compare(made.listed, read_blocks([npz(ids=np.array(names), templates=templates)], made.listed, "cosine"))
    involved = np.array([names[1] in {sample_name(*place) for place in pair} for pair in made.pairs])
    assert found.failures.mated == int((involved & made.mated).sum()) > 0
    assert found.failures.non_mated == int((involved & ~made.mated).sum())


def test_what_is_wrong_with_templates_is_told(make_set: Callable[..., Any]) -> None:
    made = make_set(15, 4)
    names, templates = templates_of(made)
    half = templates.copy()
    half[3, 4] = np.nan
    zero = templates.copy()
    zero[3] = 0
    for data, what in (
        (npz(ids=np.array(names[2:]), templates=templates[2:]), r"2 samples have no template \(S0000000_0000, S"),
        (npz(ids=np.array([*names, names[0]]), templates=templates[[*range(60), 0]]), "leave one of each"),
        (npz(ids=np.array(["bob", *names[1:]]), templates=templates), "'bob' is no sample's name"),
        (npz(ids=np.array(names), templates=half), "NaN or infinity among numbers"),
        (npz(ids=np.array(names), templates=zero), "all zeros"),
        (npz(ids=np.array(names), templates=templates[:, 0]), r"must be numbers \[60, D\]"),
        (npz(ids=np.array(names, object), templates=templates), "cannot be read"),
        (b"reference,probe,score\n", "neither"),
        (b"\x1f\x8b\x08\x00", "gzip"),
    ):
        with pytest.raises(ScoresRefused, match=what):
            compare(made.listed, read_blocks(pieces(data), made.listed, "cosine"))
