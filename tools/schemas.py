"""JSON Schemas of the records that mnistkit writes, derived from their dataclasses."""

import dataclasses
import math
import types
import typing
from typing import Annotated, Any, Literal, Union

from mnistkit.bench_report import BenchReport
from mnistkit.bundle import Manifest, Metadata
from mnistkit.core.records import Record
from mnistkit.device.doctor import DoctorReport
from mnistkit.fleet.report import FleetReport
from mnistkit.training.train import History, TrainingRun
from mnistkit.verify.predictions import PredictionsRecord
from mnistkit.verify.report import PredictionsComparison, VerifyReport
from mnistkit_bench.profile import ProfileReport
from mnistkit_bench.recommendation import Recommendation
from mnistkit_export.diagnose import Diagnosis
from mnistkit_export.inspection import Inspection

RECORDS: tuple[type[Record], ...] = (Manifest, Metadata, Inspection, Diagnosis, TrainingRun, History, PredictionsRecord,
                                     VerifyReport, PredictionsComparison, BenchReport, ProfileReport, Recommendation,
                                     DoctorReport, FleetReport)  # fmt: skip
META_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema(record: type[Record]) -> dict[str, Any]:
    """The JSON Schema of a kind of record."""
    described = _dataclass_schema(record)
    header = {"schema": {"const": f"mnistkit.{record.schema}"}, "version": {"const": record.version}}
    described["properties"] = header | described["properties"]
    described["required"] = [*header, *described["required"]]
    return {"$schema": META_SCHEMA, "title": f"mnistkit.{record.schema}", **described}


def _schema(kind: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        limits = {"minimum": arguments[1].low, "maximum": arguments[1].high}
        return _schema(arguments[0]) | {name: limit for name, limit in limits.items() if math.isfinite(limit)}
    if dataclasses.is_dataclass(kind):
        return _dataclass_schema(kind)
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(argument) for argument in arguments]}
    return {"type": JSON_TYPES[kind]}


def _dataclass_schema(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)
    return {
        "description": " ".join((kind.__doc__ or "").split()),
        "type": "object",
        "properties": {field.name: _schema(hints[field.name]) for field in fields},
        "required": [field.name for field in fields if field.default is dataclasses.MISSING],
    }
