"""The models that a service serves, by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from picoseek_bundle import Bundle, BundleError, Task
from picoseek_chassis.errors import not_found

from picoseek_detect_embed.models.detector import Detector
from picoseek_detect_embed.models.embedder import Embedder
from picoseek_detect_embed.models.served_model import EngineOptions


class Catalogue:
    """Detectors and embedders by name; the first of each, or the one named, is the default."""

    def __init__(
        self,
        bundles: Sequence[Bundle],
        options: EngineOptions,
        pool: Executor,
        *,
        default_detector: str = "",
        default_embedder: str = "",
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Take memory for every model; `run` starts the engines.

        Args:
            bundles: what to serve.
            options: how to run each of them.
            pool: threads in which items are prepared.
            default_detector: name of the default; empty: the first.
            default_embedder: name of the default; empty: the first.
            on_change: called when a model becomes ready or stops being so.

        Raises:
            BundleError: two bundles have one name, or a default is not among them.
        """
        self.detectors: dict[str, Detector] = {}
        self.embedders: dict[str, Embedder] = {}
        for bundle in bundles:
            name = bundle.manifest.name
            if name in self.detectors or name in self.embedders:
                raise BundleError(f"two bundles are named {name!r}, the second is {bundle.folder}")
            if bundle.manifest.task is Task.DETECTION:
                self.detectors[name] = Detector(bundle, options, pool, on_change)
            else:
                self.embedders[name] = Embedder(bundle, options, pool, on_change)
        self.default_detector = _default(default_detector, list(self.detectors), "detector")
        self.default_embedder = _default(default_embedder, list(self.embedders), "embedder")

    @property
    def models(self) -> list[Detector | Embedder]:
        """All models by name."""
        everything: dict[str, Detector | Embedder] = {**self.detectors, **self.embedders}
        return [everything[name] for name in sorted(everything)]

    def is_default(self, name: str) -> bool:
        """Whether requests that name no model get this one."""
        return name in (self.default_detector, self.default_embedder)

    def detector(self, name: str) -> Detector:
        """Return a detector; an empty name means the default.

        Raises:
            ServiceError: MODEL_NOT_FOUND.
        """
        found = self.detectors.get(name or self.default_detector)
        if found is None:
            raise not_found("MODEL_NOT_FOUND", _missing("detector", name, list(self.detectors)), model=name)
        return found

    def embedder(self, name: str) -> Embedder:
        """Return an embedder; an empty name means the default.

        Raises:
            ServiceError: MODEL_NOT_FOUND.
        """
        found = self.embedders.get(name or self.default_embedder)
        if found is None:
            raise not_found("MODEL_NOT_FOUND", _missing("embedder", name, list(self.embedders)), model=name)
        return found

    async def run(self) -> None:
        """Serve all models until cancelled."""
        async with asyncio.TaskGroup() as group:
            for served in self.models:
                group.create_task(served.model.run())


def _default(wanted: str, names: Sequence[str], kind: str) -> str:
    if wanted and wanted not in names:
        raise BundleError(_missing(kind, wanted, names))
    return wanted or (names[0] if names else "")


def _missing(kind: str, name: str, names: Sequence[str]) -> str:
    there = ", ".join(names) or "none"
    return f"there is no {kind} {name!r}; there are: {there}" if name else f"the service has no {kind}"
