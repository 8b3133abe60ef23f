"""Dataclasses to JSON and back, checked field by field.

A record that is written names its schema and version. Reading it back never trusts the file: every
field is checked against the annotation of the dataclass, so what comes out has the types it claims.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, Union

from mnistkit.core import files
from mnistkit.core.errors import RecordError, one_line


class Record:
    """Base of the dataclasses that are files: what they hold, and in which version."""

    schema: ClassVar[str]
    version: ClassVar[int]


R = TypeVar("R", bound=Record)


def to_json(record: Record) -> str:
    """The record as indented JSON, its schema and version first; the same record gives the same text."""
    return json.dumps(_entries(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_line(record: Record) -> str:
    """The same on one line, as short as it goes."""
    return json.dumps(_entries(record), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _entries(record: Record) -> dict[str, Any]:
    body: dict[str, Any] = dataclasses.asdict(record)  # type: ignore[call-overload]  # every Record is a dataclass
    return {"schema": f"mnistkit.{record.schema}", "version": record.version} | body


def write(path: Path, record: Record) -> None:
    """Write the record to `path`, atomically; raises StorageError."""
    files.write_bytes(path, to_json(record).encode())


def read(path: Path, kind: type[R], remedy: str) -> R:
    """The record of this kind in `path`.

    Raises StorageError where it can't be read and RecordError, with `remedy`, where it is no such record.
    """
    return parse(files.read_bytes(path), kind, str(path), remedy)


def parse(content: bytes, kind: type[R], name: str, remedy: str) -> R:
    """The record of this kind in `content`, which came from `name`; raises RecordError."""
    try:
        value = json.loads(content)
        if not isinstance(value, dict) or value.get("schema") != f"mnistkit.{kind.schema}":
            raise ValueError(f'it does not say "schema": "mnistkit.{kind.schema}"')
        version = decode(int, value.get("version"), "version")
        if version > kind.version:
            raise RecordError(
                f"{name} was made by a newer mnistkit (version {version}, this one reads {kind.version})",
                "upgrade mnistkit",
            )
        record: R = decode(kind, value, "")
        return record
    except (ValueError, OverflowError, RecursionError) as error:
        raise RecordError(f"{name} is not a {kind.schema} record: {one_line(error)}", remedy) from error


def decode(kind: Any, value: object, where: str) -> Any:
    """`value`, as read from JSON, as the annotated type `kind`; raises ValueError naming the place `where`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    if origin is tuple:
        items = _expect(list, value, where)
        return tuple(decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        entries = _expect(dict, value, where)
        return {key: decode(arguments[1], item, f"{where}.{key}") for key, item in entries.items()}
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, value, where)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where} is {_shown(value)}, not one of {', '.join(map(str, arguments))}")
        return value
    if kind is float:
        return _decode_float(value, where)
    return _expect(kind, value, where)


def _decode_dataclass(kind: Any, value: object, where: str) -> Any:
    entries = _expect(dict, value, where or "the whole")
    hints = typing.get_type_hints(kind)
    prefix = f"{where}." if where else ""
    arguments = {}
    for field in dataclasses.fields(kind):
        if field.name in entries:
            arguments[field.name] = decode(hints[field.name], entries[field.name], prefix + field.name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{prefix}{field.name} is missing")
    return kind(**arguments)


def _decode_union(kinds: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    (kind,) = (kind for kind in kinds if kind is not type(None))
    return decode(kind, value, where)


def _decode_float(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where} is {_shown(value)}, not a number")
    return float(value)


def _expect(kind: Any, value: object, where: str) -> Any:
    names: Mapping[Any, str] = {dict: "an object", list: "a list", str: "a text", int: "a whole number", bool: "a bool"}
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where} is {_shown(value)}, not {names[kind]}")
    return value


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:39]}…"
