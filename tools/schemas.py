"""JSON Schemas of the records that mnistkit writes, from the dataclasses that read and write them."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal, Union

from mnistkit.bench_report import BenchReport
from mnistkit.bundle import Manifest, Metadata
from mnistkit.core.records import Record
from mnistkit.device.doctor import DoctorReport
from mnistkit.fleet.report import FleetReport
from mnistkit.training.train import History, TrainingRun
from mnistkit.verify.predictions import PredictionsRecord
from mnistkit.verify.report import PredictionsComparison, VerifyReport
from mnistkit_bench.recommendation import Recommendation
from mnistkit_export.diagnose import Diagnosis
from mnistkit_export.inspection import Inspection

RECORDS: tuple[type[Record], ...] = (
    Manifest,
    Metadata,
    Inspection,
    Diagnosis,
    TrainingRun,
    History,
    PredictionsRecord,
    VerifyReport,
    PredictionsComparison,
    BenchReport,
    Recommendation,
    DoctorReport,
    FleetReport,
)
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema(kind: type[Record]) -> dict[str, Any]:
    """The schema of one kind of record."""
    described = _schema(kind)
    described["properties"]["schema"] = {"const": f"mnistkit.{kind.schema}"}
    described["properties"]["version"] = {"const": kind.version}
    described["required"] = ["schema", "version", *described["required"]]
    return {"$schema": DIALECT, "title": f"mnistkit.{kind.schema}", **described}


def _schema(kind: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _of_dataclass(kind)
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(argument) for argument in arguments]}
    return {"type": SIMPLE[kind]}


def _of_dataclass(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    properties = {field.name: _schema(hints[field.name]) for field in fields}
    if issubclass(kind, Record):
        properties = {"schema": {"type": "string"}, "version": {"type": "integer"}} | properties
    return {
        "description": " ".join((kind.__doc__ or "").split()),
        "type": "object",
        "properties": properties,
        "required": [field.name for field in fields if field.default is dataclasses.MISSING],
    }
