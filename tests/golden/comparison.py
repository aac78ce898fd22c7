"""Tolerances of the golden format, and the list of what exceeds them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from golden.golden_file import Array, NotCovered


@dataclass
class Comparison:
    """Collects the differences of one file."""

    failures: list[str] = field(default_factory=list)
    compared: int = 0

    def output(self, name: str, actual: Array, expected: Array) -> None:
        """Outputs of networks: 1e-4 of the largest expected value."""
        self._check(name, actual, expected, relative_to_largest=1e-4)

    def loss(self, name: str, actual: Array, expected: Array) -> None:
        """Losses and gradients: relative 1e-4, absolute 1e-6."""
        self._check(name, actual, expected, rtol=1e-4, atol=1e-6)

    def exact(self, name: str, actual: Array, expected: Array) -> None:
        """Integers: equal."""
        self._check(name, actual, expected)

    def close(self, name: str, actual: Array, expected: Array, atol: float, rtol: float = 0.0) -> None:
        """Anything with a tolerance of its own."""
        self._check(name, actual, expected, rtol=rtol, atol=atol)

    def finish(self) -> None:
        """Raise `NotCovered` when nothing was compared."""
        if not self.compared:
            raise NotCovered("nothing in the file has a counterpart")

    def _check(
        self,
        name: str,
        actual: Array,
        expected: Array,
        *,
        rtol: float = 0.0,
        atol: float = 0.0,
        relative_to_largest: float = 0.0,
    ) -> None:
        self.compared += 1
        actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
        if actual.shape != expected.shape:
            self.failures.append(f"{name} has shape {actual.shape}, expected {expected.shape}")
            return
        if relative_to_largest and expected.size:
            atol = relative_to_largest * float(np.abs(expected).max())
        if not np.allclose(actual, expected, rtol=rtol, atol=atol):
            difference = np.abs(actual - expected)
            self.failures.append(
                f"{name} is off by {difference.max():.3g} (largest value {np.abs(expected).max():.3g})"
            )
