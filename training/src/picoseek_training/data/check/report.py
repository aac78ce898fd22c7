"""What a check found, for people and for programs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from picoseek_training.data.check.finding import Finding, Kind
from picoseek_training.data.check.split import Split

_SHOWN = 8


@dataclass(frozen=True)
class CheckReport:
    """The splits and all findings, in a fixed order."""

    splits: tuple[Split, ...]
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        """Whether something was found that would spoil a training."""
        return any(finding.kind.is_error for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "ok": not self.has_errors,
            "splits": [
                {
                    "name": split.name,
                    "pictures": len(split.pictures),
                    "boxes": sum(len(picture.boxes) for picture in split.pictures),
                    "classes": len(split.classes),
                    "class_unit": split.unit,
                    "class_sizes": _balance(split),
                }
                for split in self.splits
            ],
            "findings": [
                {
                    "kind": finding.kind.value,
                    "severity": "error" if finding.kind.is_error else "warning",
                    "split": finding.split,
                    "what": finding.what,
                    "detail": finding.detail,
                }
                for finding in self.findings
            ],
        }

    def lines(self) -> Iterator[str]:
        """The same for people: a line a split, then each kind of finding with its first examples."""
        for split in self.splits:
            sizes = _balance(split)
            balance = "no classes" if sizes is None else "{min} / {median:g} / {max}".format(**sizes)
            yield (
                f"{split.name}: {len(split.pictures)} pictures, classes: {len(split.classes)}; "
                f"{split.unit} a class (min / median / max): {balance}"
            )
        for kind in Kind:
            found = [finding for finding in self.findings if finding.kind is kind]
            if not found:
                continue
            yield f"{'error' if kind.is_error else 'warning'} ({len(found)}): {kind.explanation}"
            for finding in found[:_SHOWN]:
                yield f"    {finding.split}: {finding.what}" + (f" ({finding.detail})" if finding.detail else "")
            if len(found) > _SHOWN:
                yield f"    and {len(found) - _SHOWN} more; --json names them all"
        if not self.findings:
            yield "nothing is wrong"


def _balance(split: Split) -> dict[str, float] | None:
    sizes = list(split.classes.values())
    if not sizes:
        return None
    return {"min": min(sizes), "median": statistics.median(sizes), "max": max(sizes)}
