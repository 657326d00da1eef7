"""Random streams: golden numbers, and Philox written anew to say that they are the right ones."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dataset.permutation import permuted
from app.dataset.streams import Purpose, uniforms

WORD = 2**64 - 1


def philox_4x64(counter: list[int], key: list[int]) -> list[int]:
    """One block of Philox-4x64-10 as Salmon et al. (SC 2011) define it, in whole numbers."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        first, second = a * 0xD2E7470EE14C6C93, c * 0xCA5A826395121157
        a, b, c, d = (second >> 64) ^ b ^ k0, second & WORD, (first >> 64) ^ d ^ k1, first & WORD
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & WORD, (k1 + 0xBB67AE8584CAA73B) & WORD
    return [a, b, c, d]


def test_our_philox_gives_the_published_answers() -> None:
    # The known-answer test of Random123 (kat_vectors: philox4x64 10, all bits zero).
    assert philox_4x64([0, 0, 0, 0], [0, 0]) == [
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    ]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**63 - 1),
    purpose=st.sampled_from(Purpose),
    subject=st.integers(0, 2_000_000),
    sample=st.integers(0, 9_999),
    attempt=st.integers(0, 20),
    count=st.integers(1, 11),
)
def test_uniforms_are_philox_with_seed_and_purpose_as_key(
    seed: int, purpose: Purpose, subject: int, sample: int, attempt: int, count: int
) -> None:
    bits: list[int] = []
    block = 0
    while len(bits) < count:
        block += 1  # numpy counts up before it draws
        bits += philox_4x64([block, attempt, sample, subject], [seed, int(purpose)])
    expected = [((word >> 11) + 0.5) / 2**53 for word in bits[:count]]
    assert uniforms(seed, purpose, subject, sample, attempt, count).tolist() == expected


def test_golden_numbers() -> None:
    """What is drawn today is drawn for ever: whoever changes these numbers changes every dataset."""
    drawn = {
        "identity": uniforms(7, Purpose.IDENTITY, 0, 0, 0, 3),
        "observation": uniforms(7, Purpose.OBSERVATION, 12, 3, 0, 3),
        "second attempt": uniforms(7, Purpose.OBSERVATION, 12, 3, 1, 3),
        "largest seed": uniforms(2**63 - 1, Purpose.IDENTITY, 1_999_999, 0, 4, 3),
    }
    assert {name: values.tolist() for name, values in drawn.items()} == GOLDEN


GOLDEN = {
    "identity": [0.8824668302545413, 0.36903833467548414, 0.5170696944527113],
    "observation": [0.07473353597067872, 0.9268931569219745, 0.8389351439853228],
    "second attempt": [0.5484018230340624, 0.22212680750084474, 0.6981849606278734],
    "largest seed": [0.512668222503319, 0.611544804003846, 0.6649841788438424],
}


def test_uniforms_stay_inside_the_open_interval() -> None:
    drawn = uniforms(1, Purpose.IDENTITY, 0, 0, 0, 200_000)
    assert drawn.dtype == np.float64
    assert drawn.min() > 0
    assert drawn.max() < 1
    # Uniform: mean 1/2 and variance 1/12, each within five standard errors.
    assert abs(drawn.mean() - 0.5) < 5 * (1 / 12 / 200_000) ** 0.5
    assert abs(drawn.var() - 1 / 12) < 5 * (1 / 180 / 200_000) ** 0.5


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    short = uniforms(3, Purpose.OBSERVATION, 5, 6, 0, 5)
    assert uniforms(3, Purpose.OBSERVATION, 5, 6, 0, 64)[:5].tolist() == short.tolist()


@pytest.mark.parametrize(
    "other",
    [
        (8, Purpose.OBSERVATION, 5, 6, 0),
        (7, Purpose.IDENTITY, 5, 6, 0),
        (7, Purpose.OBSERVATION, 6, 6, 0),
        (7, Purpose.OBSERVATION, 5, 5, 0),
        (7, Purpose.OBSERVATION, 5, 6, 1),
    ],
    ids=["seed", "purpose", "subject", "sample", "attempt"],
)
def test_each_part_of_the_key_makes_another_stream(other: tuple[int, Purpose, int, int, int]) -> None:
    own = set(uniforms(7, Purpose.OBSERVATION, 5, 6, 0, 256).tolist())
    assert not own & set(uniforms(*other, 256).tolist())


@given(size=st.integers(1, 700), key=st.integers(0, 2**70))
def test_a_permutation_sends_every_index_to_another(size: int, key: int) -> None:
    assert sorted(permuted(index, size, key) for index in range(size)) == list(range(size))


@given(size=st.integers(1, 2_000_000), key=st.integers(0, 2**70), data=st.data())
def test_a_large_permutation_stays_within_its_range(size: int, key: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    assert 0 <= permuted(index, size, key) < size


@pytest.mark.parametrize("index", [-1, 10, 11])
def test_a_permutation_refuses_what_is_outside(index: int) -> None:
    with pytest.raises(ValueError, match="is not in 0 … 9"):
        permuted(index, 10, key=1)


def test_golden_permutation() -> None:
    assert [permuted(index, 12, key=7 * 64) for index in range(12)] == GOLDEN_PERMUTATION


GOLDEN_PERMUTATION = [8, 9, 1, 2, 4, 5, 6, 7, 10, 11, 3, 0]


def test_keys_shuffle_evenly() -> None:
    # 4000 keys send index 3 to ten places: 400 each, standard deviation 19.
    places = Counter(permuted(3, 10, key) for key in range(4_000))
    assert set(places) == set(range(10))
    assert all(abs(count - 400) < 5 * 19 for count in places.values())
