"""Models in Paddle's old format (`.pdmodel`), as PP-ShiTu's official ones are, run in the service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from picoseek_bundle import Bundle, write_bundle
from picoseek_protos.v1 import detect_embed_pb2, detect_embed_service_pb2_grpc, object_pb2

TIMEOUT_S = 60.0
EXPORT = Path(__file__).with_name("old_format_export.py")

pytestmark = pytest.mark.slow


def _bundle(folder: Path, name: str, **fields: Any) -> Bundle:
    files = [f"{name}.pdmodel", f"{name}.pdiparams"]
    return write_bundle(
        folder / "bundles" / name,
        {file: folder / file for file in files},
        name=name,
        version="1",
        program=files[0],
        weights=files[1],
        input={"width": 32, "height": 32},
        input_name="x",
        network="tiny",
        license="Apache-2.0",
        **fields,
    )


def test_old_models_detect_and_embed(start_service: Any, tmp_path: Path, picture: bytes) -> None:
    (tmp_path / "picture.png").write_bytes(picture)
    subprocess.run(
        [sys.executable, str(EXPORT), str(tmp_path / "picture.png"), str(tmp_path)],
        env={**os.environ, "FLAGS_enable_pir_api": "0"},
        check=True,
    )
    detector = _bundle(
        tmp_path,
        "detector",
        task="detection",
        scale_factor_input="scale_factor",
        im_shape_input="im_shape",
        output={"kind": "boxes"},
    )
    embedder = _bundle(tmp_path, "embedder", task="embedding", output={"kind": "embedding", "dimension": 8})
    service = start_service(detector.folder, embedder.folder)
    service.wait_until_serving()
    with grpc.insecure_channel(service.address) as channel:
        stub = detect_embed_service_pb2_grpc.DetectEmbedServiceStub(channel)
        crops = detect_embed_pb2.EmbedRequest()
        pictures = detect_embed_pb2.DetectEmbedRequest()
        for _ in range(3):
            crops.pictures.add().picture.encoded = picture
            pictures.pictures.add().picture.encoded = picture
        embedded = stub.Embed(crops, timeout=TIMEOUT_S).results
        recognised = stub.DetectEmbed(pictures, timeout=TIMEOUT_S).results
    expected = np.load(tmp_path / "expected.npy")
    for result in embedded:
        vector = np.frombuffer(result.embedding.vector, "<f4")
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-4)
        assert result.embedding.space == embedder.space
    for result in recognised:
        (found,) = result.objects
        assert found.source == object_pb2.OBJECT_SOURCE_DETECTED and found.detector_score > 0.5
        box = found.box
        np.testing.assert_allclose([box.x1, box.y1, box.x2, box.y2], [80, 60, 240, 180], atol=0.5)
        assert len(np.frombuffer(found.embedding.vector, "<f4")) == 8
