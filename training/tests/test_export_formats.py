"""Exported files against the network that they came from."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
import paddle
import pytest
from click.testing import CliRunner
from picoseek_training.cli import main
from picoseek_training.detector.export import detector_inputs, input_spec, network_description
from picoseek_training.distillation.openvino_network import compile_float32
from picoseek_training.embedder.exported import ExportedEmbedder
from picoseek_training.export.formats import Deployable, Format, check_folder, write_format
from picoseek_training.export.old_format import failure_reason
from picoseek_training.export.program import NetworkInput, write_program
from picoseek_training.export.stored_weights import Precision, quantized
from picoseek_training.networks.picodet import NmsConfig
from picoseek_training.networks.registry import create, default_config

SIDE = 64
IMAGE = (NetworkInput("image", (None, 3, SIDE, SIDE)),)
needs_paddle2onnx = pytest.mark.skipif(
    importlib.util.find_spec("paddle2onnx") is None, reason="needs Paddle2ONNX, constraints/paddle2onnx.txt"
)


def _pictures(count: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(count, 3, SIDE, SIDE)).astype(np.float32)


@pytest.mark.parametrize(("precision", "most", "least_saved"), [("float16", 2e-3, 0.45), ("int8", 5e-2, 0.68)])
def test_smaller_weights_answer_nearly_the_same(
    tmp_path: Path, precision: str, most: float, least_saved: float
) -> None:
    paddle.seed(3)
    network = create("pplcnet_x0_25", num_classes=None)
    network.eval()
    expected = network(paddle.to_tensor(_pictures(3))).numpy()
    sizes = []
    for each in (Precision.FLOAT32, Precision(precision)):
        copy = create("pplcnet_x0_25", num_classes=None)
        copy.set_state_dict(network.state_dict())
        folder = tmp_path / each
        folder.mkdir()
        program, weights = write_program(copy, IMAGE, folder, each)
        sizes.append(weights.stat().st_size)
    found = ExportedEmbedder(program, weights)(_pictures(3))
    np.testing.assert_allclose(found, expected, rtol=0, atol=most * np.abs(expected).max())
    assert not np.array_equal(found, expected)
    assert 1 - sizes[1] / sizes[0] > least_saved


def test_eight_bits_are_never_further_off_than_half_a_step() -> None:
    weight = np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32)
    weight[2] = 0.0
    values, scale = quantized(weight, axis=0)
    assert values.dtype == np.int8 and scale.shape == (5, 1, 1, 1)
    assert (np.abs(values * scale - weight) <= 0.5001 * scale).all()


@needs_paddle2onnx
def test_a_detector_as_onnx_answers_in_both_engines(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    paddle.seed(2)
    make = partial(create, "picodet_xs", num_classes=1, nms=NmsConfig(score_threshold=0.0, keep_top_k=5))
    network = make()
    # Scores and boxes of a fresh network are all but equal, and equal ones come in any order.
    rng = np.random.default_rng(3)
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.set_value(
                (np.sqrt(3.0 / np.prod(weight.shape[1:])) * rng.standard_normal(weight.shape)).astype("float32")
            )
    network.eval()
    state = {key: value.numpy() for key, value in network.state_dict().items()}
    deployable = Deployable(make, state, detector_inputs(input_spec(SIDE)), ("boxes", "counts"))
    (path,) = write_format(deployable, Format.ONNX, tmp_path / "onnx", Precision.FLOAT32)
    assert [file.name for file in (tmp_path / "onnx").iterdir()] == ["model.onnx"]
    feed = {"image": _pictures(1), "scale_factor": np.full((1, 2), 0.5, np.float32)}
    with paddle.no_grad():
        rows, counts = (each.numpy() for each in network(*map(paddle.to_tensor, feed.values())))
    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    compiled = compile_float32(str(path))
    for found in (session.run(["boxes", "counts"], feed), [compiled(feed)[name] for name in ("boxes", "counts")]):
        np.testing.assert_array_equal(found[1], counts)
        order = np.argsort(-found[0][:, 1])
        np.testing.assert_allclose(found[0][order], rows[np.argsort(-rows[:, 1])], rtol=1e-3, atol=1e-2)


@needs_paddle2onnx
def test_an_embedder_as_onnx_takes_any_batch(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    make = partial(create, "pplcnetv2_small", num_classes=None, scale=0.25)
    network = make()
    network.eval()
    state = {key: value.numpy() for key, value in network.state_dict().items()}
    (path,) = write_format(Deployable(make, state, IMAGE, ("embedding",)), Format.ONNX, tmp_path, Precision.FLOAT32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        expected = network(paddle.to_tensor(_pictures(count))).numpy()
        (found,) = session.run(["embedding"], {"image": _pictures(count)})
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Format.PADDLE, "4-D"),
        pytest.param(Format.PDMODEL, r"in its old format: ValueError: .*4-D.*\[Hint: .*\]$", marks=pytest.mark.slow),
    ],
)
def test_a_failed_export_leaves_nothing_behind(tmp_path: Path, target: Format, reason: str) -> None:
    make = partial(create, "pplcnet_x0_25", num_classes=None)
    state = {key: value.numpy() for key, value in make().state_dict().items()}
    no_pictures = Deployable(make, state, (NetworkInput("image", (None, 3)),), ("embedding",))
    with pytest.raises(ValueError, match=reason):
        write_format(no_pictures, target, tmp_path / "a" / "b", Precision.FLOAT32)
    assert not list(tmp_path.iterdir())


def _folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_bytes(b"old")
    return path


@pytest.mark.parametrize("target", [Format.PADDLE, Format.PDMODEL, Format.ONNX])
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("inference.json", "inference.pdiparams", "manifest.json"), "holds a bundle"),
        (("ppshitu.pdmodel", "ppshitu.pdiparams"), r"holds ppshitu\.pdiparams, which is no part of the format"),
    ],
)
def test_other_exports_and_bundles_are_left_as_they_are(
    tmp_path: Path, target: Format, names: tuple[str, ...], said: str
) -> None:
    folder = _folder(tmp_path / "out", *names)
    make = partial(create, "pplcnet_x0_25", num_classes=None)
    with pytest.raises(ValueError, match=f"{folder} {said}.*give another folder with --out"):
        write_format(Deployable(make, {}, IMAGE, ("embedding",)), target, folder, Precision.FLOAT32)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == dict.fromkeys(names, b"old")


def test_formats_do_not_mix_and_each_replaces_its_own(tmp_path: Path) -> None:
    for target, names in (
        (Format.PADDLE, ("inference.json", "inference.pdiparams")),
        (Format.PDMODEL, ("inference.pdmodel", "inference.pdiparams")),
        (Format.ONNX, ("model.onnx",)),
    ):
        folder = _folder(tmp_path / target, *names)
        for other in (each for each in Format if each is not target):
            with pytest.raises(ValueError, match=str(folder)):
                check_folder(folder, other)
        check_folder(folder, target)
    network = create("pplcnet_x0_25", num_classes=None)
    state = {key: value.numpy() for key, value in network.state_dict().items()}
    deployable = Deployable(partial(create, "pplcnet_x0_25", num_classes=None), state, IMAGE, ("embedding",))
    written = write_format(deployable, Format.PADDLE, tmp_path / Format.PADDLE, Precision.FLOAT32)
    assert sorted(written) == sorted((tmp_path / Format.PADDLE).iterdir())
    assert all(file.read_bytes() != b"old" for file in written)


@pytest.mark.parametrize("command", ["detector", "embedder", "hash", "imported"])
def test_every_export_refuses_a_folder_of_something_else_before_it_begins(tmp_path: Path, command: str) -> None:
    folder = _folder(tmp_path / "out", "model.onnx")
    given = _folder(tmp_path / "given", "file") / "file"
    source = [given] if command == "imported" else ["--config", given]
    card = [] if command == "detector" else ["--card", given.parent]
    done = CliRunner().invoke(main, [str(each) for each in ("export", command, *source, "--out", folder, *card)])
    assert done.exit_code == 1 and f"{folder} is there and is no bundle" in done.stderr


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "its process ended with status -11 and said nothing"),
        ("Traceback:\n  File x\nKeyError: 'a'\n\nIn code:\n\n  NotImplementedError\n", "NotImplementedError"),
        (
            "C++ Traceback:\n0 run\nError Message Summary:\n-----\nFatalError: `Segmentation fault` is detected.\n"
            "  [TimeInfo: *** Aborted at 1 ***]\n  [SignalInfo: *** SIGSEGV ***]\n",
            "FatalError: `Segmentation fault` is detected.",
        ),
        (
            "ValueError: In transformed code:\n    File x\n    ValueError: (InvalidArgument) 4-D wanted.\n"
            "  [Hint: 2 given.] (at /paddle/phi/binary.cc:586)\n  [operator < conv2d > error]\n",
            "ValueError: (InvalidArgument) 4-D wanted. [Hint: 2 given.]",
        ),
        ("Killed\n", "Killed"),
    ],
)
def test_what_a_failed_process_says_is_cut_to_the_reason(said: str, reason: str) -> None:
    assert failure_reason(said, -11) == reason


def test_networks_are_described_by_their_configuration() -> None:
    assert network_description(default_config("picodet_xs")) == "PicoDet: PP-LCNet x0.35, LC-PAN 96, PicoHeadV2"
    assert network_description(default_config("picodet_mainbody")) == "PicoDet: PP-LCNet x2.5, CSP-PAN 128, PicoHead"
