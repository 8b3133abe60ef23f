"""Dataclasses to JSON and back, validated field by field.

A written record names its schema and version. Reading trusts no file: each value is checked against the annotation of
its field, so every field of the result has its declared type.
"""

import dataclasses
import json
import math
import types
import typing
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union

from mnistkit.core import files
from mnistkit.core.errors import RecordError, one_line

TYPE_NAMES = {dict: "an object", list: "a list", str: "a string", int: "an integer", bool: "a boolean"}
MAX_EXCERPT_CHARACTERS = 40


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that a number of a record can have, in an annotation."""

    low: float
    high: float = math.inf


Count = Annotated[int, Range(0)]
NonNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(1e-9)]
Share = Annotated[float, Range(0, 1)]
Points = Annotated[float, Range(-100, 100)]  # a difference of shares, in percentage points


class Record:
    """Base class of the dataclasses that are stored as JSON, with the name and version of their schema."""

    schema: ClassVar[str]
    version: ClassVar[int]

    def __init_subclass__(cls, schema: str, version: int) -> None:
        cls.schema, cls.version = schema, version


R = TypeVar("R", bound=Record)


def to_json(record: Record) -> str:
    """The record as indented JSON, schema and version first. Equal records make equal text."""
    return json.dumps(_to_dict(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_line(record: Record) -> str:
    """The record as compact JSON on one line."""
    return json.dumps(_to_dict(record), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _to_dict(record: Record) -> dict[str, Any]:
    fields: dict[str, Any] = dataclasses.asdict(record)  # type: ignore[call-overload]  # every Record is a dataclass
    return {"schema": f"mnistkit.{record.schema}", "version": record.version} | fields


def write(path: Path, record: Record) -> None:
    """Write the record to `path`, atomically; raises StorageError."""
    files.write_bytes(path, to_json(record).encode())


def read(path: Path, kind: type[R], remedy: str) -> R:
    """Read a record of type `kind` from `path`.

    Raises StorageError if the file can't be read, and RecordError with `remedy` if it is not a valid record.
    """
    return parse(files.read_bytes(path), kind, str(path), remedy)


def names_schema(path: Path, kind: type[Record]) -> bool:
    """Whether the file contains the name of a record's schema, valid or not; raises StorageError."""
    return f'"mnistkit.{kind.schema}"'.encode() in files.read_bytes(path)


def parse(content: bytes, kind: type[R], name: str, remedy: str) -> R:
    """Parse a record of type `kind`; `name` is the source of `content`. Raises RecordError."""
    try:
        value = json.loads(content)
        if not isinstance(value, dict) or value.get("schema") != f"mnistkit.{kind.schema}":
            raise ValueError(f'"schema" is not "mnistkit.{kind.schema}"')
        version = decode(Annotated[int, Range(1)], value.get("version"), "version")
        if version > kind.version:
            raise RecordError(
                f"{name} was written by a newer mnistkit (record version {version}, newest supported {kind.version})",
                "upgrade mnistkit",
            )
        record: R = decode(kind, value, "")
        return record
    except (ValueError, OverflowError, RecursionError) as error:
        raise RecordError(f"{name} is not a {kind.schema} record: {one_line(error)}", remedy) from error


def decode(kind: Any, value: object, location: str) -> Any:
    """Convert a JSON value to the annotated type `kind`.

    Raises ValueError with `location`, such as "artifacts[0].file", if the value does not have that type.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _decode_in_range(arguments[0], arguments[1], value, location)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, location)
    if origin is tuple:
        items = _expect(list, value, location)
        return tuple(decode(arguments[0], item, f"{location}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        entries = _expect(dict, value, location)
        return {key: decode(arguments[1], item, f"{location}.{key}") for key, item in entries.items()}
    if origin in (Union, types.UnionType):
        return _decode_optional(arguments, value, location)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{location} is {_excerpt(value)}, not one of {', '.join(map(str, arguments))}")
        return value
    if kind is float:
        return _decode_float(value, location)
    return _expect(kind, value, location)


def _decode_in_range(kind: Any, range: Range, value: object, location: str) -> Any:
    number = decode(kind, value, location)
    if not range.low <= number <= range.high:
        limits = f"at least {range.low:g}" if math.isinf(range.high) else f"from {range.low:g} to {range.high:g}"
        raise ValueError(f"{location} is {_excerpt(value)}, not {limits}")
    return number


def _decode_dataclass(kind: Any, value: object, location: str) -> Any:
    entries = _expect(dict, value, location or "the record")
    hints = typing.get_type_hints(kind, include_extras=True)
    prefix = f"{location}." if location else ""
    arguments = {}
    for field in dataclasses.fields(kind):
        if field.name in entries:
            arguments[field.name] = decode(hints[field.name], entries[field.name], prefix + field.name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{prefix}{field.name} is missing")
    return kind(**arguments)


def _decode_optional(kinds: tuple[Any, ...], value: object, location: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    (kind,) = (kind for kind in kinds if kind is not type(None))
    return decode(kind, value, location)


def _decode_float(value: object, location: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{location} is {_excerpt(value)}, not a finite number")
    return float(value)


def _expect(kind: Any, value: object, location: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{location} is {_excerpt(value)}, not {TYPE_NAMES[kind]}")
    return value


def _excerpt(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_EXCERPT_CHARACTERS else f"{text[: MAX_EXCERPT_CHARACTERS - 1]}…"
