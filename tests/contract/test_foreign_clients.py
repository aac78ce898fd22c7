"""Anybody may call the services: with the `.proto` files alone, or with reflection and no file at all."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def _picture() -> bytes:
    pixels = np.random.default_rng(7).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    return cv2.imencode(".png", cv2.resize(pixels, (320, 240)))[1].tobytes()


def test_plain_grpcio_with_the_proto_files_alone(running_services: Any, tmp_path: Path) -> None:
    subprocess.run(["make", ".venv-proto/.done"], cwd=ROOT, check=True, capture_output=True)
    picture = tmp_path / "picture.png"
    picture.write_bytes(_picture())
    done = subprocess.run(
        [
            ROOT / ".venv-proto" / "bin" / "python",
            Path(__file__).parent / "plain_client.py",
            ROOT / "protos",
            running_services.detect_embed,
            running_services.search,
            picture,
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["ids"] == ["one"] and answer["items"] == ["thing"] and answer["dimension"] > 0


def test_reflection_is_enough_to_call(running_services: Any) -> None:
    with grpc.insecure_channel(running_services.detect_embed) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "picoseek.v1.DetectEmbedService" in database.get_services()
        pool = descriptor_pool.DescriptorPool(database)
        method = pool.FindServiceByName("picoseek.v1.DetectEmbedService").FindMethodByName("Embed")
        request_type = message_factory.GetMessageClass(method.input_type)
        response_type = message_factory.GetMessageClass(method.output_type)
        request = request_type()
        request.pictures.add().picture.encoded = _picture()
        call = channel.unary_unary(
            "/picoseek.v1.DetectEmbedService/Embed",
            request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString,
        )
        result = call(request, timeout=60).results[0]
        assert len(result.embedding.vector) == 4 * result.embedding.dimension
    with grpc.insecure_channel(running_services.search) as channel:
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
        assert {"picoseek.v1.SearchService", "picoseek.v1.CollectionService", "grpc.health.v1.Health"} <= set(services)
