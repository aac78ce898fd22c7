"""Puts the service together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import cv2
import grpc.aio
from picoseek_bundle import Bundle, Task, default_bundle, load_bundle
from picoseek_chassis.failure import stop_service
from picoseek_chassis.health import Health
from picoseek_chassis.server import Application
from picoseek_protos.v1 import detect_embed_service_pb2, detect_embed_service_pb2_grpc
from prometheus_client.registry import CollectorRegistry

from picoseek_detect_embed.models.catalogue import Catalogue
from picoseek_detect_embed.models.served_model import ModelState
from picoseek_detect_embed.pipeline.admission import Admission
from picoseek_detect_embed.pipeline.decoding import Decoder
from picoseek_detect_embed.pipeline.pixel_budget import PixelBudget
from picoseek_detect_embed.pipeline.recognition import Recognition
from picoseek_detect_embed.settings import DetectEmbedSettings
from picoseek_detect_embed.transport.limits import CallLimits
from picoseek_detect_embed.transport.load_metrics import LoadMetrics
from picoseek_detect_embed.transport.model_metrics import ModelMetrics
from picoseek_detect_embed.transport.servicer import DetectEmbedServicer

_LOG = logging.getLogger(__name__)

# From the descriptor, which reflection finds only when its module is loaded.
_SERVICE = detect_embed_service_pb2.DESCRIPTOR.services_by_name["DetectEmbedService"].full_name


def load_bundles(settings: DetectEmbedSettings) -> list[Bundle]:
    """Open the bundles that the settings name, then those that ship with PicoSeek for the tasks of which none is named.

    Raises:
        BundleError: one is missing or damaged.
    """
    named = [load_bundle(folder) for folder in settings.bundles]
    covered = {bundle.manifest.task for bundle in named}
    return [*named, *(load_bundle(default_bundle(task)) for task in Task if task not in covered)]


def make_application(settings: DetectEmbedSettings, bundles: Sequence[Bundle]) -> Application:
    """Return the service as something that a server can serve.

    Raises:
        BundleError: two bundles have one name, or a default is not among them; raised when the server starts it.
    """

    @asynccontextmanager
    async def application(
        server: grpc.aio.Server, health: Health, registry: CollectorRegistry | None
    ) -> AsyncGenerator[Sequence[str]]:
        for bundle in bundles:
            if settings.bundles and bundle.folder not in settings.bundles:
                shipped = bundle.manifest
                _LOG.info("no bundle given for %s: serving %s, which ships with PicoSeek", shipped.task, shipped.name)
        # The pool's threads are the parallelism; OpenCV's own would multiply them.
        cv2.setNumThreads(1)
        changed = asyncio.Event()
        with ThreadPoolExecutor(settings.workers, thread_name_prefix="pictures") as pool:
            catalogue = Catalogue(
                bundles,
                settings.engine_options,
                pool,
                default_detector=settings.default_detector,
                default_embedder=settings.default_embedder,
                on_change=changed.set,
            )
            pictures = Admission("pictures", settings.max_pending_pictures)
            crops = Admission("crops", settings.max_pending_crops)
            recognition = Recognition(
                Decoder(settings.picture_limits, PixelBudget(settings.max_decoded_pixels), pool),
                pool,
                pictures,
                crops,
                settings.start_wait_s,
            )
            if registry is not None:
                registry.register(ModelMetrics(catalogue))
                registry.register(LoadMetrics(pictures, crops))
            servicer = DetectEmbedServicer(catalogue, recognition, _limits(settings))
            detect_embed_service_pb2_grpc.add_DetectEmbedServiceServicer_to_server(servicer, server)
            tasks = [
                asyncio.create_task(catalogue.run()),
                asyncio.create_task(_publish_health(catalogue, health, changed)),
            ]
            for task in tasks:
                task.add_done_callback(_stop_when_failed)
            try:
                yield (_SERVICE,)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    return application


def _stop_when_failed(task: asyncio.Task[None]) -> None:
    """A service whose engines nobody looks after is of no use; whoever started it will start it again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.critical("nobody looks after the models any more", exc_info=error)
        stop_service(f"the models are not looked after any more: {error!r}; the lines above say where it happened")


async def _publish_health(catalogue: Catalogue, health: Health, changed: asyncio.Event) -> None:
    """Publish each model under its name, and the service when all defaults are ready, whenever something changes."""
    while True:
        changed.clear()
        ready = {served.model.name: served.model.state is ModelState.READY for served in catalogue.models}
        for name, serving in ready.items():
            await health.set(name, serving)
        serves = all(serving for name, serving in ready.items() if catalogue.is_default(name))
        for name in ("", _SERVICE):
            await health.set(name, serves)
        await changed.wait()


def _limits(settings: DetectEmbedSettings) -> CallLimits:
    return CallLimits(
        max_pictures=settings.max_pictures_per_call,
        max_regions=settings.max_regions_per_picture,
        max_detections=settings.max_detections,
        default_timeout_s=settings.default_timeout_s,
        max_streams=settings.max_streams,
        stream_in_flight=settings.stream_in_flight,
        max_stream_in_flight=settings.max_stream_in_flight,
    )
