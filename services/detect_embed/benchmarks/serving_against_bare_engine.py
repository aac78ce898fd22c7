"""How much of a bare engine is left over gRPC, and how fast health is answered meanwhile.

    python services/detect_embed/benchmarks/serving_against_bare_engine.py --seconds 10 --json

It starts the service as a process of its own with the bundles that ship. Every part runs in its own process, so that
no part waits for the interpreter of another; all share the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from picoseek_bundle import Task, default_bundle, load_bundle
from picoseek_chassis.health_probe import probe
from picoseek_detect_embed.settings import DetectEmbedSettings
from picoseek_protos.v1 import detect_embed_pb2, detect_embed_service_pb2_grpc

START_WITHIN_S = 180.0
CALL_WITHIN_S = 120.0
BATCH = 16
CALLERS = 4
PROBE_PAUSE_S = 0.01


def photograph() -> bytes:
    """Return a JPEG of 640 x 480 px with structure at several scales."""
    random = np.random.default_rng(0)
    pixels = np.zeros((480, 640, 3), np.float32)
    for side in (4, 16, 64):
        noise = random.uniform(0, 85, (480 // side + 1, 640 // side + 1, 3)).astype(np.float32)
        pixels += cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", np.clip(pixels, 0, 255).astype(np.uint8))[1].tobytes()


def measure_bare_engine(task: Task, seconds: float) -> dict[str, float]:
    """Run batches of 16 in this process as an engine process does; pictures a second, without decoding and resizing."""
    from picoseek_detect_embed.engine.paddle_adapter import PaddleAdapter
    from picoseek_detect_embed.engine.spec import EngineSpec, InputTensor

    bundle = load_bundle(default_bundle(task))
    manifest = bundle.manifest
    inputs = [InputTensor(manifest.input_name, (3, manifest.input.height, manifest.input.width))]
    if manifest.scale_factor_input is not None:
        inputs.append(InputTensor(manifest.scale_factor_input, (2,)))
    threads = DetectEmbedSettings.load().engine_options.threads
    spec = EngineSpec(str(bundle.program), str(bundle.weights), tuple(inputs), (0,), (BATCH,), BATCH, threads=threads)
    adapter = PaddleAdapter(spec)
    random = np.random.default_rng(0)
    batch = {tensor.name: random.uniform(0.5, 1, (BATCH, *tensor.shape)).astype(np.float32) for tensor in inputs}
    adapter.run(batch)
    runs, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        adapter.run(batch)
        runs += 1
    return {"pictures_per_s": runs * BATCH / (time.perf_counter() - begun)}


def measure_health(address: str, seconds: float) -> dict[str, float]:
    """Ask for the service's health again and again; milliseconds an answer took."""
    taken: list[float] = []
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        stub.Check(health_pb2.HealthCheckRequest(), timeout=CALL_WITHIN_S)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            begun = time.perf_counter()
            stub.Check(health_pb2.HealthCheckRequest(), timeout=CALL_WITHIN_S)
            taken.append((time.perf_counter() - begun) * 1000)
            time.sleep(PROBE_PAUSE_S)
    p50, p99 = np.percentile(taken, [50, 99])
    return {"p50_ms": float(p50), "p99_ms": float(p99), "worst_ms": max(taken), "answers": len(taken)}


def measure_load(call: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Make calls of 16 pictures from several callers; pictures a second."""
    end = time.perf_counter() + seconds

    def caller() -> int:
        done = 0
        while time.perf_counter() < end:
            assert not any(result.status.code for result in call().results)
            done += BATCH
        return done

    begun = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as callers:
        pictures = sum(future.result() for future in [callers.submit(caller) for _ in range(CALLERS)])
    return {"pictures_per_s": pictures / (time.perf_counter() - begun)}


def in_own_process(*arguments: str) -> subprocess.Popen[bytes]:
    """Start one part of this file; it writes a JSON object."""
    return subprocess.Popen([sys.executable, "-W", "ignore", __file__, *arguments], stdout=subprocess.PIPE)


def result_of(process: subprocess.Popen[bytes]) -> dict[str, float]:
    """Wait for a part and return what it measured."""
    output, _ = process.communicate()
    assert process.returncode == 0, "a part of the benchmark failed"
    measured: dict[str, float] = json.loads(output.splitlines()[-1])
    return measured


def measure_service(folder: Path, seconds: float) -> dict[str, dict[str, float]]:
    """Put the service under load with each kind of call, and ask for its health meanwhile."""
    measured: dict[str, dict[str, float]] = {}
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "picoseek_detect_embed", "--port", "0"]
        service = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            address = wait_until_serving(folder / "log")
            with grpc.insecure_channel(address, [("grpc.max_send_message_length", 64 << 20)]) as channel:
                stub = detect_embed_service_pb2_grpc.DetectEmbedServiceStub(channel)
                embed, detect = detect_embed_pb2.EmbedRequest(), detect_embed_pb2.DetectEmbedRequest()
                picture = photograph()
                for request in (embed, detect):
                    for _ in range(BATCH):
                        request.pictures.add().picture.encoded = picture
                detect.options.max_detections = 1
                measured["health, idle"] = result_of(in_own_process("--health", address, f"--seconds={seconds}"))
                for name, method, request in (
                    ("Embed", stub.Embed, embed),
                    ("DetectEmbed", stub.DetectEmbed, detect),
                ):
                    health = in_own_process("--health", address, f"--seconds={seconds}")
                    measured[name] = measure_load(partial(method, request, timeout=CALL_WITHIN_S), seconds)
                    measured[f"health, {name}"] = result_of(health)
        finally:
            service.terminate()
            service.wait(60)
    return measured


def wait_until_serving(log: Path) -> str:
    """Return the address of the service that writes this log."""
    end = time.monotonic() + START_WITHIN_S
    while time.monotonic() < end:
        lines = [line for line in log.read_text().splitlines() if "listening on " in line]
        if lines and probe(address := lines[0].split("listening on ")[1], "", 2.0) is None:
            return address
        time.sleep(0.1)
    raise TimeoutError(log.read_text())


def write(measured: object) -> None:
    """Write one JSON object."""
    sys.stdout.write(json.dumps(measured) + "\n")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each part")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--bare", choices=[task.value for task in Task], help=argparse.SUPPRESS)
    parser.add_argument("--health", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        write(measure_bare_engine(Task(arguments.bare), arguments.seconds))
        return 0
    if arguments.health:
        write(measure_health(arguments.health, arguments.seconds))
        return 0
    measured = {
        f"bare engine, {task.value}": result_of(
            in_own_process(f"--bare={task.value}", f"--seconds={arguments.seconds}")
        )
        for task in Task
    }
    with tempfile.TemporaryDirectory() as folder:
        measured |= measure_service(Path(folder), arguments.seconds)
    if arguments.json:
        write(measured)
        return 0
    for name, figures in measured.items():
        row = "  ".join(f"{figure}={value:.1f}" for figure, value in figures.items())
        sys.stdout.write(f"{name:28} {row}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
