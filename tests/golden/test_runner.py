import json

import numpy as np
import pytest

from golden.__main__ import main
from golden.weight_rule import network_input, weight

BOXES = np.array([[0, 0, 9, 9], [1, 1, 10, 10], [50, 50, 60, 60]], np.int64)
SCORES = np.array([0.5, 0.9, 0.7], np.float32)


def write(folder, name, meta, **arrays):
    np.savez(folder / name, meta=json.dumps(meta), **arrays)


def last_line(capsys):
    return capsys.readouterr().out.splitlines()[-1]


def test_files_are_told_apart_by_content_and_never_by_name(tmp_path, capsys):
    write(tmp_path, "anything.npz", {}, boxes=BOXES, scores=SCORES, **{"keep_0.05": np.array([1, 2])})
    write(tmp_path, "preprocess.npz", {"note": "unheard of"}, numbers=np.zeros(3))
    assert main([str(tmp_path)]) == 0
    assert last_line(capsys) == "golden: 1 passed, 0 failed, 1 not covered"


def test_a_difference_fails_the_run(tmp_path, capsys):
    write(tmp_path, "nms.npz", {}, boxes=BOXES, scores=SCORES, **{"keep_0.05": np.array([0, 2])})
    assert main([str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert "nms.npz: FAILED (keep_0.05" in output
    assert output.endswith("golden: 0 passed, 1 failed, 0 not covered\n")


def test_a_file_that_breaks_the_product_fails_and_the_others_still_run(tmp_path, capsys):
    write(tmp_path, "a.npz", {}, boxes=BOXES, scores=SCORES[:2], **{"keep_0.05": np.array([0])})
    write(tmp_path, "b.npz", {}, boxes=BOXES, scores=SCORES, **{"keep_0.05": np.array([1, 2])})
    assert main([str(tmp_path)]) == 1
    assert last_line(capsys) == "golden: 1 passed, 1 failed, 0 not covered"


def test_unknown_losses_and_models_are_not_covered(tmp_path, capsys):
    write(tmp_path, "loss.npz", {"case": {"cls": "MysteryLoss"}}, **{"case/loss": np.zeros(())})
    write(tmp_path, "model.npz", {"model": "picodet_xxl_640_coco.yml", "num_classes": 1}, scores=np.zeros(1))
    write(tmp_path, "other.npz", {"model": "ResNet50"}, logits=np.zeros((1, 10)))
    assert main([str(tmp_path)]) == 0
    assert last_line(capsys) == "golden: 0 passed, 0 failed, 3 not covered"


def test_a_missing_folder_is_a_usage_error(tmp_path):
    assert main([str(tmp_path / "nowhere")]) == 2


def test_the_weight_rule_scales_by_role_and_fan_in():
    meta = {"salt": "g", "gdw": 3, "gpw": 2.9, "gout": 0.01}
    running = weight("conv1.bn._variance", (4,), meta)
    assert (running >= 1).all() and running.dtype == np.float32
    output = weight("head.head_cls0.weight", (33, 128, 1, 1), meta)
    assert output.std() == pytest.approx(np.sqrt(0.01 / 128), rel=0.05)
    assert weight("blocks2.0.dw_conv.conv.weight", (16, 1, 3, 3), meta).std() == pytest.approx(np.sqrt(3 / 9), rel=0.2)
    assert network_input(1, (2, 3, 20, 24)).shape == (2, 3, 20, 24)
