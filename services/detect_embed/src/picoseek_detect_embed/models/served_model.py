"""A bundle with the engines that run it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from picoseek_bundle import Bundle, Preprocessor
from picoseek_chassis.failure import stop_service

from picoseek_detect_embed.batching.batch_tally import BatchTally
from picoseek_detect_embed.batching.batcher import Batcher, SplitOutputs
from picoseek_detect_embed.engine.arena import Arena
from picoseek_detect_embed.engine.errors import EngineStartError
from picoseek_detect_embed.engine.slots import SlotPool
from picoseek_detect_embed.engine.spec import EngineSpec, InputTensor
from picoseek_detect_embed.engine.supervisor import EngineState, EngineSupervisor, RestartPolicy


@dataclass(frozen=True)
class EngineOptions:
    """How the engines of a model run."""

    engines: int = 1
    """Engine processes."""
    buckets: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Batch sizes, ascending from 1."""
    device: str = "cpu"
    """"cpu" or "gpu"."""
    device_indices: tuple[int, ...] = (0,)
    """GPUs over which the engines are spread."""
    threads: int = 1
    """CPU threads of one engine."""
    gpu_memory_mb: int = 1024
    """GPU memory an engine takes at the start, in MiB."""
    tensorrt: bool = False
    """Let TensorRT build the parts of the network that it can (GPU only)."""
    adapter: str | None = None
    """Class that runs the network, as "module:class"; None: Paddle."""
    batch_timeout_s: float = 60.0
    """An engine that takes longer over a batch counts as hung and is killed."""
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    """When engines are restarted."""


class ModelState(Enum):
    """Whether a model may be used."""

    LOADING = "loading"
    """No engine is ready, at least one starts."""
    READY = "ready"
    """At least one engine is ready."""
    FAILED = "failed"
    """None of its engines can be started."""


@dataclass(frozen=True)
class Inference:
    """What an engine made of one item."""

    output: NDArray[Any]
    """The item's part of the batch's output."""
    preprocess_s: float
    """Seconds of preparing the item."""
    queue_s: float
    """Seconds of waiting, for memory, for a thread and for an engine."""
    engine_s: float
    """Seconds in the engine, those of the whole batch."""


class ServedModel:
    """One model: shared memory, a queue and its engines."""

    def __init__(
        self,
        bundle: Bundle,
        options: EngineOptions,
        pool: Executor,
        *,
        extra_inputs: Sequence[InputTensor],
        outputs: tuple[str | int, ...],
        split: SplitOutputs,
        on_change: Callable[[], None],
    ) -> None:
        """Take memory; `run` starts the engines.

        Args:
            bundle: what to serve.
            options: how.
            pool: threads in which items are prepared.
            extra_inputs: inputs of the network beside the picture.
            outputs: outputs to fetch, by name or position.
            split: cuts a batch's outputs into one array an item.
            on_change: called after every change of `state`.
        """
        self.bundle = bundle
        self.preprocessor = Preprocessor(bundle.manifest.input)
        self.engine_name = f"paddle-{options.device}"
        self.buckets = options.buckets
        """Sizes of its batches, ascending."""
        self._pool = pool
        self._image = bundle.manifest.input_name
        inputs = (InputTensor(self._image, self.preprocessor.shape), *extra_inputs)
        # Each engine has a batch under way, and the next one is being prepared.
        slots = 2 * options.buckets[-1] * options.engines
        self._arena = Arena.create(inputs, slots)
        self._engines: list[EngineSupervisor] = []
        for index in range(options.engines):
            spec = EngineSpec(
                program=str(bundle.program),
                weights=str(bundle.weights),
                inputs=inputs,
                outputs=outputs,
                buckets=options.buckets,
                slots=slots,
                device="gpu" if options.device == "gpu" else "cpu",
                device_index=options.device_indices[index % len(options.device_indices)],
                threads=options.threads,
                gpu_memory_mb=options.gpu_memory_mb,
                tensorrt=options.tensorrt,
                **({} if options.adapter is None else {"adapter": options.adapter}),
            )
            name = f"{bundle.manifest.name}/{index}"
            self._engines.append(EngineSupervisor(name, spec, self._arena, options.restart, self._changed))
        self._batcher = Batcher(self._engines, SlotPool(slots), options.buckets, split, options.batch_timeout_s)
        self._on_change = on_change
        self._usable = asyncio.Event()

    @property
    def name(self) -> str:
        """Name in requests."""
        return self.bundle.manifest.name

    @property
    def state(self) -> ModelState:
        """Whether it may be used."""
        states = {engine.state for engine in self._engines}
        if EngineState.READY in states:
            return ModelState.READY
        return ModelState.LOADING if EngineState.STARTING in states else ModelState.FAILED

    @property
    def engines(self) -> int:
        """Engines that it should have."""
        return len(self._engines)

    @property
    def ready_engines(self) -> int:
        """Engines that take batches."""
        return sum(engine.state is EngineState.READY for engine in self._engines)

    @property
    def waiting(self) -> int:
        """Items that wait for an engine."""
        return len(self._batcher)

    @property
    def batches(self) -> BatchTally:
        """Batches so far."""
        return self._batcher.batches

    @property
    def problem(self) -> str:
        """Why it failed."""
        return next((engine.problem for engine in self._engines if engine.problem), "")

    @property
    def restart_s(self) -> float:
        """Seconds after which a call that met no engine may find one."""
        return 0.1 if self.state is ModelState.READY else max(engine.start_s for engine in self._engines)

    def delay_s(self, items: int) -> float:
        """Return the seconds in which the engines work off so many items."""
        return self._batcher.pace.delay_s(items, self.ready_engines)

    async def wait_ready(self) -> None:
        """Wait until an engine is ready."""
        await self._usable.wait()

    async def run(self) -> None:
        """Start the engines and serve until cancelled; the engines end with it.

        When one of them cannot be started at all, the whole service stops.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for engine in self._engines:
                    group.create_task(engine.supervise())
                group.create_task(self._batcher.run())
        except* EngineStartError as failures:
            stop_service(
                f"bundle {self.bundle.folder}: the engine of model {self.name} cannot be started: "
                f"{failures.exceptions[0]}; repair the bundle or serve without it"
            )
        finally:
            self._arena.close()

    async def infer(
        self,
        prepare: Callable[[NDArray[np.float32]], None],
        extra: dict[str, tuple[float, ...]],
        deadline: float,
    ) -> Inference:
        """Prepare one item in a thread and bring it through an engine.

        Args:
            prepare: writes the picture input, [3, height, width] float32.
            extra: values of the other inputs by name.
            deadline: by the event loop's clock, in seconds.

        Raises:
            TimeoutError: the deadline passed before an engine was free.
            EngineError: the item's batch failed.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        slot = await self._batcher.acquire_slot(deadline)

        def write() -> float:
            started = time.perf_counter()
            prepare(self._arena.input(self._image)[slot])
            for name, values in extra.items():
                self._arena.input(name)[slot] = values
            return time.perf_counter() - started

        writing = self._pool.submit(write)
        try:
            preprocess_s = await asyncio.wrap_future(writing)
        except BaseException:
            # The thread may still be writing when its caller gives up.
            writing.add_done_callback(lambda _: loop.call_soon_threadsafe(self._batcher.release_slot, slot))
            raise
        output, entry = await self._batcher.submit(slot, deadline)
        return Inference(output, preprocess_s, max(0.0, entry.started_at - begun - preprocess_s), entry.engine_s)

    def _changed(self) -> None:
        if self.state is ModelState.READY:
            for engine in self._engines:
                if engine.item_s:
                    self._batcher.pace.record(1, engine.item_s)
            self._usable.set()
        else:
            self._usable.clear()
        self._on_change()
