"""What may go wrong with an engine."""

from __future__ import annotations


class EngineError(Exception):
    """Root of the errors of engines."""


class EngineStartError(EngineError):
    """An engine could not be started; the message says why."""


class ModelLoadError(EngineStartError):
    """The engine process came up, but not the model in it: its files are wrong, and so they stay."""


class EngineLostError(EngineError):
    """An engine process died or hung while it had the batch; the batch has no result."""


class BatchError(EngineError):
    """The engine lives, but the network refused the batch; the message is the engine's own."""
