"""Labels of subjects and samples, and where things lie in the store."""

import pytest

from app.dataset import keys
from app.dataset.keys import DatasetKeys
from app.dataset.names import parse_sample_name, sample_name, subject_name


def test_labels() -> None:
    assert subject_name(12) == "S0000012"
    assert sample_name(12, 3) == "S0000012_0003"
    assert parse_sample_name("S0000012_0003") == (12, 3)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "S12_3",
        "S0000012",
        "S0000012_0003.png",
        "s0000012_0003",
        "S0000012_0003\n",
        "S٠٠٠٠٠١٢_0003",
        "../S0000012_0003",
    ],
    ids=repr,
)
def test_what_is_no_label(name: str) -> None:
    assert parse_sample_name(name) is None


def test_labels_sort_as_their_numbers() -> None:
    names = [sample_name(subject, sample) for subject in (0, 9, 10, 999_999, 1_999_999) for sample in (0, 9, 10, 9_999)]
    assert names == sorted(names)


def test_keys_of_a_dataset_lie_below_its_tenant() -> None:
    at = DatasetKeys("acme", "ds_1")
    everything = [value for value in vars(at).values() if isinstance(value, str)]
    everything += [at.survey(3), at.shard_samples(3), at.shard_report(3), at.attempts("generate-000003")]
    assert all(key.startswith("tenants/acme/datasets/ds_1/") for key in everything)
    assert len(set(everything)) == len(everything)


def test_owners_are_read_back_from_keys() -> None:
    assert keys.owner_of(keys.unfinished("acme", "ds_1")) == ("acme", "ds_1")
