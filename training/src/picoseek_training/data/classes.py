"""Numbering of labels over several sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picoseek_training.data.example import Example


@dataclass(frozen=True)
class ClassTable:
    """Classes of all domains in one numbering."""

    classes: NDArray[np.int64]
    """[N] class of each example, -1 without a label."""
    class_domains: NDArray[np.int64]
    """[C] domain of each class."""

    @property
    def count(self) -> int:
        """Number of classes C."""
        return len(self.class_domains)


def number_classes(examples: Sequence[Example]) -> ClassTable:
    """Number the (domain, label) pairs of `examples` in sorted order."""
    names = sorted({(e.domain, e.label) for e in examples if e.label is not None})
    number = {name: index for index, name in enumerate(names)}
    domains = sorted({domain for domain, _ in names})
    return ClassTable(
        np.array([-1 if e.label is None else number[e.domain, e.label] for e in examples], np.int64),
        np.array([domains.index(domain) for domain, _ in names], np.int64),
    )
