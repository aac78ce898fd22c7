"""Errors of bundles and pictures."""

from __future__ import annotations

from dataclasses import dataclass


class BundleError(ValueError):
    """A bundle is incomplete, damaged or contradicts itself; the message says where and what to do."""


class ManifestError(BundleError):
    """A manifest breaks a rule; the message names the field."""


@dataclass
class PictureError(ValueError):
    """A picture cannot be used."""

    reason: str
    """Stable UPPER_SNAKE name of the cause, as listed in the contract."""
    message: str
    """What is wrong and what to do."""

    def __str__(self) -> str:
        return self.message
