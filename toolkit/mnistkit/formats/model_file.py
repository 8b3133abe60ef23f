"""The interface that all model file formats share."""

from typing import Protocol, Self

from mnistkit.bundle import ModelInfo


class ModelFile(Protocol):
    """A model file in memory. An invalid file raises whatever the format's parser raises, on parsing or later."""

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Parse a file. Raises MissingExtraError if the package that parses the format is not installed."""

    def to_bytes(self) -> bytes:
        """Serialize the file; equal models give equal bytes."""

    def info(self) -> ModelInfo:
        """The input, output and operators of the model, and the oldest runtime that loads it."""

    @property
    def metadata(self) -> bytes | None:
        """The metadata that mnistkit stored; None if there is none."""


class EditableModelFile(ModelFile, Protocol):
    """A model file that a converter made."""

    def set_metadata(self, text: str) -> None:
        """Store metadata, replacing those that mnistkit stored before."""
