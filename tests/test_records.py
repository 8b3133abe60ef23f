"""Records come back as they were written, and nothing else comes through."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistkit.bundle import Manifest
from mnistkit.core import records
from mnistkit.core.errors import RecordError


@dataclass(frozen=True)
class Part:
    share: float
    kind: Literal["a", "b"]
    label: str | None = None


@dataclass(frozen=True)
class Whole(records.Record):
    schema: ClassVar[str] = "whole"
    version: ClassVar[int] = 3

    name: str
    count: int
    ready: bool
    parts: tuple[Part, ...]
    sizes: dict[str, int]


finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]))
parts = st.builds(Part, finite, st.sampled_from(["a", "b"]), st.none() | text)
wholes = st.builds(
    Whole, text, st.integers(), st.booleans(), st.lists(parts).map(tuple), st.dictionaries(text, st.integers())
)
junk = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=10,
)
GOOD = Whole("n", 1, True, (Part(0.5, "a"),), {"k": 2})


@given(wholes)
def test_a_record_comes_back_as_it_was_written(whole: Whole) -> None:
    assert records.parse(records.to_json(whole).encode(), Whole, "it", "mend it") == whole


@given(st.binary() | junk.map(lambda value: json.dumps(value).encode()))
def test_junk_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        records.parse(content, Whole, "it", "mend it")
    assert "\n" not in str(caught.value)
    assert "mend it" in str(caught.value)


@given(st.sampled_from(["name", "count", "ready", "parts", "sizes"]), junk)
def test_a_field_of_the_wrong_type_is_named_or_it_is_right(field: str, value: object) -> None:
    body = json.loads(records.to_json(GOOD)) | {field: value}
    try:
        whole = records.parse(json.dumps(body).encode(), Whole, "it", "mend it")
    except RecordError as error:
        assert field in str(error)  # noqa: PT017  # either outcome is right, each for its values
    else:
        assert json.loads(records.to_json(whole)) == body


def test_a_missing_field_is_named() -> None:
    body = json.loads(records.to_json(GOOD))
    del body["parts"][0]["share"]
    with pytest.raises(RecordError, match=r"parts\[0\]\.share is missing"):
        records.parse(json.dumps(body).encode(), Whole, "it", "mend it")


def test_a_record_of_a_newer_version_asks_for_an_upgrade() -> None:
    body = json.loads(records.to_json(GOOD)) | {"version": 4}
    with pytest.raises(RecordError, match=r"newer mnistkit.*upgrade"):
        records.parse(json.dumps(body).encode(), Whole, "it", "mend it")


def test_a_record_of_another_kind_is_refused(tmp_path: Path) -> None:
    records.write(tmp_path / "whole.json", GOOD)
    with pytest.raises(RecordError, match=r"not a bundle record.*mnistkit\.bundle"):
        records.read(tmp_path / "whole.json", Manifest, "mend it")


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(RecordError):
        records.parse(b"[" * 100_000, Whole, "it", "mend it")
