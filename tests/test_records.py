"""Records survive a round trip, and invalid JSON is rejected."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistkit.bundle import Manifest
from mnistkit.core import records
from mnistkit.core.errors import RecordError


@dataclass(frozen=True)
class Part:
    fraction: float
    kind: Literal["a", "b"]
    label: str | None = None


@dataclass(frozen=True)
class Sample(records.Record, schema="sample", version=3):
    name: str
    count: int
    ready: bool
    parts: tuple[Part, ...]
    sizes: dict[str, int]


finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]))
parts = st.builds(Part, finite, st.sampled_from(["a", "b"]), st.none() | text)
samples = st.builds(
    Sample, text, st.integers(), st.booleans(), st.lists(parts).map(tuple), st.dictionaries(text, st.integers())
)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=10,
)
VALID = Sample("n", 1, True, (Part(0.5, "a"),), {"k": 2})


def parse(content: bytes) -> Sample:
    return records.parse(content, Sample, "sample.json", "write it again")


@given(samples)
def test_round_trip_preserves_the_record(sample: Sample) -> None:
    assert parse(records.to_json(sample).encode()) == sample


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_content_is_rejected_in_one_line(content: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        parse(content)
    assert "\n" not in str(caught.value)
    assert "write it again" in str(caught.value)


@given(st.sampled_from(["name", "count", "ready", "parts", "sizes"]), json_values)
def test_field_is_read_unchanged_or_named_in_the_error(field: str, value: object) -> None:
    body = json.loads(records.to_json(VALID)) | {field: value}
    try:
        sample = parse(json.dumps(body).encode())
    except RecordError as error:
        assert f": {field}" in str(error)  # noqa: PT017  # the drawn value may be valid or not
    else:
        assert json.loads(records.to_json(sample)) == body


def test_error_names_the_missing_field() -> None:
    body = json.loads(records.to_json(VALID))
    del body["parts"][0]["fraction"]
    with pytest.raises(RecordError, match=r"parts\[0\]\.fraction is missing"):
        parse(json.dumps(body).encode())


def test_boolean_is_not_a_number() -> None:
    body = json.loads(records.to_json(VALID))
    body["parts"][0]["fraction"] = True
    with pytest.raises(RecordError, match=r"fraction is true, not a finite number"):
        parse(json.dumps(body).encode())


def test_newer_version_is_rejected_with_the_advice_to_upgrade() -> None:
    body = json.loads(records.to_json(VALID)) | {"version": 4}
    with pytest.raises(RecordError, match=r"newer mnistkit.*upgrade"):
        parse(json.dumps(body).encode())


def test_record_with_another_schema_is_rejected(tmp_path: Path) -> None:
    records.write(tmp_path / "sample.json", VALID)
    with pytest.raises(RecordError, match=r"not a bundle record.*mnistkit\.bundle"):
        records.read(tmp_path / "sample.json", Manifest, "write it again")


def test_deep_nesting_is_rejected() -> None:
    with pytest.raises(RecordError):
        parse(b"[" * 100_000)
