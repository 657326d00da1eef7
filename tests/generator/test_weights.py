"""Weights and cards of any model: nothing is believed that a file says, and nothing is made before it has passed."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file
from torch import nn

from app.dataset.model import ModelCard
from app.errors import Corrupt
from workers.digests import file_sha256
from workers.generator.cards import MAX_BYTES, read_card, write_card
from workers.generator.weights import MAX_HEADER_BYTES, load_weights, save_model

CARD: dict[str, Any] = {
    "name": "line",
    "version": "1",
    "kind": "line",
    "description": "For tests",
    "sizes": [[16, 16]],
    "latent": {"identity": 3, "observation": {"pose": [0, 2]}},
    "licence": "none",
    "provenance": "none",
}


def network(device: str = "meta") -> nn.Linear:
    with torch.device(device):
        return nn.Linear(3, 2)


GOOD = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


def sealed(folder: Path, file: str = "weights.safetensors") -> ModelCard:
    """The card that fits what lies there."""
    return ModelCard.model_validate({**CARD, "weights": {"file": file, "sha256": file_sha256(folder / file)}})


def refuse(folder: Path, match: str, card: ModelCard | None = None) -> None:
    empty = network()
    with pytest.raises(Corrupt, match=match):
        load_weights(folder, card or sealed(folder), empty)
    assert empty.weight.is_meta, "something was put into the network"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_weights_come_back_as_float32_wherever_the_network_lay(tmp_path: Path, dtype: Any, device: str) -> None:
    card = save_model(tmp_path / "line", CARD, GOOD, dtype)
    filled = network(device)
    load_weights(tmp_path / "line", card, filled)
    assert filled.weight.dtype == filled.bias.dtype == torch.float32
    assert torch.equal(filled.weight, GOOD["weight"])
    assert filled(torch.tensor([1.0, 0.0, 1.0])).tolist() == [3.0, 9.0]
    assert read_card(tmp_path / "line") == card


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.float64, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn]
)
def test_another_type_is_not_turned_into_weights(tmp_path: Path, dtype: Any) -> None:
    save_file({**GOOD, "bias": GOOD["bias"].to(dtype)}, tmp_path / "weights.safetensors")
    refuse(tmp_path, "bias holds .*; weights are F16, BF16, F32")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused_and_never_written(tmp_path: Path, value: float) -> None:
    bad = {**GOOD, "bias": torch.tensor([0.0, value])}
    save_file(bad, tmp_path / "weights.safetensors")
    refuse(tmp_path, "bias holds values that are not finite")
    with pytest.raises(Corrupt, match="not finite"):
        save_model(tmp_path / "new", CARD, bad)
    with pytest.raises(Corrupt, match=r"not finite as torch\.float16"):
        save_model(tmp_path / "new", CARD, {**GOOD, "bias": torch.tensor([0.0, 1e6])})
    assert not (tmp_path / "new").exists()


def raw(folder: Path, header: bytes, data: bytes = b"", length: int | None = None) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header + data)


def test_a_header_is_not_believed(tmp_path: Path) -> None:
    raw(tmp_path, b"{}", length=2**63)
    refuse(tmp_path, "its header would have 9,223,372,036,854,775,808 bytes")
    raw(tmp_path, b"{}" + b" " * MAX_HEADER_BYTES)
    refuse(tmp_path, "its header would have")
    tensor = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    for weight, data in (
        ({**tensor, "shape": [2**62, 4]}, bytes(24)),  # its size overflows
        ({**tensor, "data_offsets": [0, 2**40]}, bytes(24)),  # beyond the file
        ({**tensor, "data_offsets": [24, 0]}, bytes(24)),
        (tensor, bytes(2_000)),  # bytes that no tensor owns
    ):
        raw(tmp_path, json.dumps({"weight": weight}).encode(), data)
        refuse(tmp_path, "not a readable safetensors file")
    for header in (b"[]", b"\xff\xff", b"[" * 10_000, b"null"):
        raw(tmp_path, header)
        refuse(tmp_path, "not a readable safetensors file")


def test_an_oversized_file_is_refused_unread(tmp_path: Path) -> None:
    save_file(GOOD, tmp_path / "weights.safetensors")
    card = sealed(tmp_path)
    os.truncate(tmp_path / "weights.safetensors", 2**40)  # sparse
    refuse(tmp_path, "has 1,099,511,627,776 bytes", card)


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    save_file(GOOD, tmp_path / "weights.safetensors")
    card = sealed(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    refuse(tmp_path, "is not there", card)
    os.mkfifo(tmp_path / "weights.safetensors")
    refuse(tmp_path, "not a regular file", card)
    for file in ("..", ".", "", "a\0b", "../x"):
        other = ModelCard.model_validate({**CARD, "weights": {"file": file, "sha256": "0" * 64}})
        refuse(tmp_path, "not a regular file|outside its folder", other)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"measured": {"value": float("nan")}}, "JSON"),
        ({"checks": {"unique": {"matcher": "sface", "threshold": float("inf"), "basis": "x"}}}, "JSON"),
        ({"sizes": [[10**9, 16]]}, r"sizes\.0\.0: Input should be less than or equal to 4096"),
        ({"sizes": [[16, 0]]}, r"sizes\.0\.1"),
        ({"sizes": []}, "sizes"),
        ({"latent": {"identity": 10**9, "observation": {"pose": [0, 2]}}}, r"latent\.identity"),
        ({"latent": {"identity": 3, "observation": {"pose": [0, 10**9]}}}, "at most 4096 are drawn"),
        ({"latent": {"identity": 3, "observation": {}}}, r"latent\.observation"),
        ({"name": "../up"}, "name"),
    ],
)
def test_a_card_that_cannot_be_is_refused(tmp_path: Path, fields: Any, match: str) -> None:
    (tmp_path / "card.json").write_text(json.dumps({**CARD, **fields}))
    with pytest.raises(Corrupt, match=rf"card\.json is not a model card: .*{match}"):
        read_card(tmp_path)


def test_a_number_too_large_for_a_float_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps({**CARD, "measured": 1})[:-2] + "1e999}")
    with pytest.raises(Corrupt, match="not a model card"):
        read_card(tmp_path)


def test_a_card_is_read_only_from_a_regular_file_of_sane_size(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(CARD))
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(Corrupt, match="a card has at most"):
        read_card(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Corrupt, match="cannot be read: it is not a regular file"):
        read_card(tmp_path)


def test_a_card_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = ModelCard.model_validate(CARD)
    write_card(tmp_path, card)

    def full(self: Path, *_: Any, **__: Any) -> None:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_card(tmp_path, card.model_copy(update={"version": "2"}))
    assert read_card(tmp_path) == card
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]
