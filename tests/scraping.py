"""Fetch the metrics of a service as Prometheus does."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

WITHIN_S = 20.0
_DOCS = Path(__file__).parents[1] / "docs" / "metrics.md"


def scrape(address: str) -> dict[tuple[str, ...], float]:
    """Return values by name and the values of the labels, which stand in the order of the labels' names."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=WITHIN_S) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics_address(log: Path) -> str:
    """Return where a service serves its metrics, as its log tells."""
    return re.findall(r"metrics at http://(\S+)/metrics", log.read_text())[-1]


def undocumented(samples: Iterable[tuple[str, ...]]) -> set[str]:
    """Return the names of our metrics that docs/metrics.md does not have."""
    told = re.findall(r"`(picoseek_\w+)`", _DOCS.read_text())
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name, *_ in samples if name.startswith("picoseek_")}
    return ours.difference(told)
