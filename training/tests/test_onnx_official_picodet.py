"""The official PicoDet-XS, imported, against ONNX Runtime; runs where the project's data lies beside the repository."""

from pathlib import Path

import numpy as np
import onnx
import paddle
import pytest
from onnx import TensorProto, helper
from picoseek_bundle.decode import decode_picture
from picoseek_bundle.preprocess import Preprocessor
from picoseek_training.detector.export import input_spec
from picoseek_training.detector.start import load_official_picodet_xs

DATA = Path(__file__).parents[3] / "shared" / "data"
WEIGHTS = DATA / "weights" / "picodet_xs_320_lcnet_coco_postprocessed.onnx"
SCORES, BOXES = "concat_4.tmp_0", "tmp_16"
"""Tensors of the file before suppression: scores and boxes of all cells, in input pixels."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WEIGHTS.exists(), reason="needs the project's data beside the repository"),
]


def test_the_import_equals_onnx_runtime_on_real_pictures():
    runtime = pytest.importorskip("onnxruntime")
    preprocessor = Preprocessor(input_spec(320))
    paths = sorted((DATA / "detection" / "fruit" / "images").iterdir())[:12]
    images = np.stack([preprocessor(decode_picture(path.read_bytes())) for path in paths])
    detector = load_official_picodet_xs(WEIGHTS, [paddle.to_tensor(images[:8])])

    model = onnx.load(str(WEIGHTS))
    for name in (SCORES, BOXES):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    runtime.set_default_logger_severity(4)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for image in images[8:, None]:
        scores, boxes = session.run([SCORES, BOXES], {"image": image, "scale_factor": np.ones((1, 2), np.float32)})
        with paddle.no_grad():
            predictions = detector.dense(paddle.to_tensor(image))
            actual_scores = detector.probabilities(predictions).transpose([0, 2, 1])
            actual_boxes = detector.boxes(predictions)
        np.testing.assert_allclose(actual_scores.numpy(), scores, atol=1e-3)
        np.testing.assert_allclose(actual_boxes.numpy(), boxes, atol=1e-3 * 320)
