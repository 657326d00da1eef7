"""Bodies that are not what they should be: always a clear refusal, never a 500, and nothing accepted."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

GOOD = {"name": "x", "subjects": 2, "samples_per_subject": 2}


def raw(**replaced: str) -> bytes:
    """The good body as text, with some values replaced by other text."""
    parts = {name: json.dumps(value) for name, value in GOOD.items()} | replaced
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in parts.items()) + "}").encode()


def refused(client: TestClient, content: Any, status: int = 422, **headers: Any) -> str:
    sent = {"Content-Type": "application/json"} | headers
    answer = client.post("/v1/datasets", content=content, headers=sent)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) - {"problems"} == {"error", "detail", "request_id"}
    if answer.json()["error"] == "RequestRefused":
        problems = answer.json()["problems"]
        assert all(set(problem) == {"field", "problem", "fix"} and problem["problem"] for problem in problems)
    assert client.get("/v1/datasets").json()["datasets"] == []
    detail = str(answer.json()["detail"])
    assert len(detail) < 6000
    return detail


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "body: is empty"),
        (b"  \n", "body: is empty"),
        (b"{", "body: is not JSON"),
        (b"name=x", "body: is not JSON"),
        (b"\xef\xbb\xbf{}", "body: is not JSON"),
        (b'{"name": "\xff"}', "body: is not UTF-8 (byte 10)"),
        ("{}".encode("utf-16"), "body: is not UTF-8"),
        (b"[]", "body: must be a JSON object"),
        (b"null", "body: must be a JSON object"),
        (b"7", "body: must be a JSON object"),
        (b'"text"', "body: must be a JSON object"),
        (b"NaN", "NaN"),
        (raw(subjects="NaN"), "body: has NaN"),
        (raw(variability='{"scale": Infinity}'), "body: has Infinity"),
        (raw(variability='{"scale": -Infinity}'), "body: has -Infinity"),
        (raw(variability='{"scale": 1e999}'), "body: has the number 1e999, which is out of range"),
        (raw(subjects="1" * 4000), "body: has a number of 4000 digits"),
        (raw(subjects="99999999999999999999"), "subjects: "),
        (raw(seed="-1"), "seed: "),
        (raw(seed=str(2**53)), "seed: must be at most 9007199254740991 (2^53 - 1)"),
        (b'{"name": "x", "name": "y"}', "body: has the key 'name' twice"),
        (raw(variability='{"factors": {"pose": 1, "pose": 2}}'), "body: has the key 'pose' twice"),
        (b"[" * 15000, "body: is nested more than 32 deep"),
        (b"[" * 40 + b"]" * 40, "body: is nested more than 32 deep"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "body: is nested more than 32 deep"),
        (raw(name=r'"\ud800"'), "body: has a \\u escape that is half"),
        (b'{"\\udfff": 1}', "body: has a \\u escape that is half"),
        (raw(name=r'"a\u0000b"'), "name: has characters"),
        (raw(name='""'), "name: "),
        (raw(name=json.dumps("n" * 101)), "name: "),
        (raw(name="7"), "name: must be a string"),
        (raw(subjects="0"), "subjects: must be greater than or equal to 1"),
        (raw(subjects="2.0"), "subjects: must be a"),
        (raw(subjects='"2"'), "subjects: must be a"),
        (raw(subjects="true"), "subjects: must be a"),
        (raw(variability='{"scale": "0.5"}'), "variability.scale: must be a number"),
        (raw(variability='{"scale": true}'), "variability.scale: must be a number"),
        (raw(variability='{"scale": 1000}'), "variability.scale: "),
        (raw(variability='{"factors": {"pose": -1}}'), "variability.factors.pose: "),
        (raw(attributes='{"glasses": 1.5}'), "attributes.glasses: "),
        (raw(attributes='{"sex": {"female": 0.5, "male": 0.4}}'), "sum to 0.9; make them sum to 1"),
        (raw(attributes='{"sex": {}}'), "attributes.sex: "),
        (raw(attributes='{"age": {"min": 30}}'), "attributes.age.max: is missing; add it"),
        (
            raw(attributes='{"age": {"min": 30, "max": 30.5}}'),
            "attributes.age: the range is too narrow to be",
        ),
        (raw(image='{"size": "big"}'), "image.size: "),
        (raw(image='{"size": [128, "x"]}'), "image.size"),
        (raw(image='{"quality": 90}'), "image: quality applies to jpeg only"),
        (raw(layouts='["lwf"]'), "layouts.0: "),
        (raw(model='"../x"'), "model: has characters"),
        (raw(subject="1"), "subject: is not a field of this request; did you mean 'subjects'?"),
        (raw(checks='{"uniqe": true}'), "checks.uniqe: is not a field of this request; did you mean 'unique'?"),
        (raw(zzz="1"), "zzz: is not a field of this request; remove it (there are name, model"),
        (b"{}", "name: is missing; add it; subjects: is missing; add it; samples_per_subject: is missing"),
    ],
)
def test_refused_with_the_reason(client: TestClient, content: bytes, says: str) -> None:
    assert says in refused(client, content)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": "other"}, "model: there is no model 'other'; there are toy"),
        ({"variability": {"factors": {"smile": 1}}}, "variability.factors.smile: model 'toy' has no such factor"),
        ({"attributes": {"skin_tone": {"a": 1}}}, "attributes.skin_tone: "),
        ({"attributes": {"sex": {"other": 1}}}, "attributes.sex.other: "),
        ({"attributes": {"age": {"min": 5, "max": 60}}}, "attributes.age: model 'toy' reaches 18 to 80 years"),
        ({"image": {"size": 512}}, "image.size: model 'toy' does not make 512×512"),
        ({"comparisons": {"selection": "balanced"}, "samples_per_subject": 1}, "comparisons.selection"),
        ({"subjects": 1_000_000, "samples_per_subject": 10_000}, "subjects: 10,000,000,000 samples are more"),
    ],
)
def test_what_the_model_cannot_do_is_refused(client: TestClient, fields: dict[str, Any], says: str) -> None:
    assert says in refused(client, json.dumps(GOOD | fields).encode())


def test_hostile_names_are_told_of_printably_and_briefly(client: TestClient) -> None:
    detail = refused(client, json.dumps(GOOD | {"\u202e\x1b[31m" + "k" * 5000: 1}).encode())
    assert "\x1b" not in detail
    assert "\u202e" not in detail
    assert len(detail) < 400
    many = GOOD | {f"field{number}": 1 for number in range(500)}
    assert "480 more problems" in refused(client, json.dumps(many).encode())


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        b"\xff",
    ],
)
def test_other_media_types_are_415(client: TestClient, media_type: Any) -> None:
    refused(client, json.dumps(GOOD).encode(), 415, **{"Content-Type": media_type})


def test_encoded_bodies_are_415(client: TestClient) -> None:
    refused(client, json.dumps(GOOD).encode(), 415, **{"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_by_any_spelling_is_taken(client: TestClient, media_type: str) -> None:
    answer = client.post(
        "/v1/datasets", content=json.dumps(GOOD | {"name": "Tür ½"}).encode(), headers={"Content-Type": media_type}
    )
    assert answer.status_code == 202
    assert answer.json()["name"] == "Tür ½"


def test_too_long_a_body_is_413_whether_or_not_it_says_so(client: TestClient) -> None:
    long = json.dumps(GOOD | {"name": "n" * 30_000}).encode()
    assert "20,000 bytes" in refused(client, long, 413)
    assert "20,000 bytes" in refused(client, (long[at : at + 1000] for at in range(0, len(long), 1000)), 413)
    assert "20,000 bytes" in refused(client, b"{}", 413, **{"Content-Length": "9" * 40})


def test_a_chunked_body_within_the_limit_is_taken(client: TestClient) -> None:
    text = json.dumps(GOOD).encode()
    answer = client.post(
        "/v1/datasets",
        content=(text[at : at + 5] for at in range(0, len(text), 5)),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 202
