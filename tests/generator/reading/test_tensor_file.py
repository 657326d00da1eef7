"""safetensors by our own parser: as its library writes them, and in no other way."""

import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from workers.generator.reading.contents import read_contents
from workers.generator.reading.refusals import FileRefused

STATE = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float16([7, 8])}


def test_what_the_library_writes_is_read() -> None:
    found = read_contents(memoryview(save(STATE, {"format": "pt"}))).tensors
    for name, values in STATE.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype


def changed(**update: Any) -> bytes:
    data = save(STATE)
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["b"].update(update)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"shape": [3]}, "takes 6 bytes"),
        ({"shape": [-2]}, "shape that cannot be"),
        ({"shape": [2**60]}, "shape that cannot be"),
        ({"shape": "2"}, "shape that cannot be"),
        ({"dtype": "F8_E4M3"}, "which is not known"),
        ({"data_offsets": [0, 4]}, "overlaps another tensor"),
        ({"data_offsets": [24, 2**40]}, "other offsets"),
        ({"data_offsets": [24]}, "offsets that cannot be"),
        ({"more": 1}, "other fields"),
    ],
)
def test_a_header_that_lies_is_refused(update: dict[str, Any], words: str) -> None:
    with pytest.raises(FileRefused) as caught:
        read_contents(memoryview(changed(**update)))
    assert words in caught.value.problem


def test_nothing_lies_behind_the_last_tensor() -> None:
    with pytest.raises(FileRefused, match="3 bytes after the last tensor"):
        read_contents(memoryview(save(STATE) + b"abc"))
