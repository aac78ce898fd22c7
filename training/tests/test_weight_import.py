"""Official weights into our networks: `.pdparams`, inference folders, and what is refused."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from click.testing import CliRunner, Result
from paddle import nn
from picoseek_bundle import Task, default_bundle, load_bundle
from picoseek_training import checkpoint
from picoseek_training.cli import main
from picoseek_training.embedder.exported import ExportedEmbedder
from picoseek_training.export.formats import Deployable, Format, write_format
from picoseek_training.export.old_format import write_old_program
from picoseek_training.export.program import NetworkInput, write_program
from picoseek_training.export.stored_weights import Precision
from picoseek_training.network_checkpoint import NetworkCheckpoint, load_network_checkpoint
from picoseek_training.networks.registry import create
from picoseek_training.networks.reparameterisation import re_parameterize
from picoseek_training.paddle_import.errors import PaddleFileError
from picoseek_training.paddle_import.pickled_state import read_pdparams
from picoseek_training.weight_import.deploying import imported_model
from picoseek_training.weight_import.execution import run_on_pictures
from picoseek_training.weight_import.importing import import_weights
from picoseek_training.weight_import.recognition import UnknownNetworkError, recognise_state

RECORDED = Path(__file__).parents[3] / "shared" / "reference" / "state-dict-names"
IMAGE, SCALE = NetworkInput("image", (None, 3, 64, 64)), NetworkInput("scale_factor", (None, 2))
OFFICIAL = {
    "PPLCNet_x0_25": "pplcnet_x0_25",
    "PPLCNet_x0_35": "pplcnet_x0_35",
    "PPLCNet_x1_0": "pplcnet_x1_0",
    "PPLCNet_x2_5": "pplcnet_x2_5",
    "PPLCNetV2_small": "pplcnetv2_small",
    "PPLCNetV2_base": "pplcnetv2_base",
    "PPLCNetV2_large": "pplcnetv2_large",
    "RecModel_PPLCNetV2_base_ShiTu_cls100": "general_recognition_v2",
    "RecModel_V1_PPLCNet_x2_5_ArcMargin_cls100": "general_recognition_v1",
    "picodet_s_320_coco_lcnet_cls80": "picodet_s",
    "picodet_m_320_coco_lcnet_cls80": "picodet_m",
    "picodet_l_640_coco_lcnet_cls80": "picodet_l",
    "picodet_lcnet_x2_5_640_mainbody_cls1": "picodet_mainbody",
}


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def _trained(name: str, **settings: Any) -> nn.Layer:
    """A network whose every number differs from those of a fresh one."""
    network = create(name, **settings)
    rng = np.random.default_rng(7)
    for key, tensor in network.state_dict().items():
        noise = rng.uniform(0.5, 1.5, tensor.shape).astype(np.float32)
        tensor.set_value(noise if key.endswith("_variance") else tensor.numpy() + 0.1 * (noise - 1.0))
    network.eval()
    return network


def _answers(network: nn.Layer) -> dict[str, Any]:
    pictures = np.random.default_rng(1).normal(size=(2, 3, 64, 64)).astype(np.float32)
    with paddle.no_grad():
        return {key: value.numpy() for key, value in run_on_pictures(network, paddle.to_tensor(pictures)).items()}


def _assert_same_answers(actual: nn.Layer, expected: nn.Layer, tolerance: float) -> None:
    found = _answers(actual)
    for key, value in _answers(expected).items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=tolerance * np.abs(value).max(), err_msg=key)


@pytest.mark.slow
@pytest.mark.skipif(not RECORDED.is_dir(), reason="needs the recorded names, ../shared/reference/state-dict-names")
def test_every_official_state_dict_is_recognised_by_names_and_shapes() -> None:
    candidates = sorted(set(OFFICIAL.values()))
    for file, network in OFFICIAL.items():
        recorded = json.loads((RECORDED / f"{file}.json").read_text())
        head = network.startswith("general")
        shapes = {name: tuple(shape) for name, shape, _ in recorded if not (head and name.startswith("head."))}
        assert recognise_state(shapes, candidates).name == network, file


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pdparams_file_comes_back_as_it_was_saved(tmp_path: Path, protocol: int) -> None:
    network = _trained("pplcnet_x0_25", num_classes=7)
    path = tmp_path / "weights.pdparams"
    paddle.save(network.state_dict(), str(path), protocol=protocol)
    imported = import_weights(path, "pplcnet_x0_25")
    assert (imported.checkpoint.network, imported.checkpoint.settings) == ("pplcnet_x0_25", {"num_classes": 7})
    for name, tensor in network.state_dict().items():
        np.testing.assert_array_equal(imported.checkpoint.state[name], tensor.numpy(), err_msg=name)
    _assert_same_answers(imported.network, network, 0.0)


def test_a_recognition_model_leaves_the_classes_of_its_training_behind(tmp_path: Path) -> None:
    network = _trained("general_recognition_v1", num_classes=5)
    path = tmp_path / "weights.pdparams"
    paddle.save(network.state_dict(), str(path))
    with pytest.raises(UnknownNetworkError, match="general_recognition_v2"):
        import_weights(path, "general_recognition_v2")
    imported = import_weights(path, "general_recognition_v1")
    assert imported.checkpoint.settings == {}
    assert not any(key.startswith("head.") for key in imported.checkpoint.state)
    _assert_same_answers(imported.network, network, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pplcnet_x0_25", "pplcnetv2_small", "picodet_xs"])
def test_an_exported_folder_comes_back_with_the_same_answers(tmp_path: Path, name: str) -> None:
    network = _trained(name)
    inputs = (IMAGE, SCALE) if name.startswith("picodet") else (IMAGE,)
    write_program(_copy(network, name), inputs, tmp_path)
    imported = import_weights(tmp_path, name)
    assert imported.size == (64, 64) and imported.looks == 1
    assert imported_model(imported.checkpoint).spec.width == 64
    if name == "pplcnetv2_small":
        # Branches were fused on the way out and stay one.
        assert imported.checkpoint.settings == {"branches": "largest"} and imported.folded > 0
        re_parameterize(imported.network)
    _assert_same_answers(imported.network, network, 1e-5)


@pytest.mark.slow
def test_an_old_folder_comes_back_with_the_same_answers(tmp_path: Path) -> None:
    network = _trained("picodet_xs", num_classes=2)
    state = {key: value.numpy() for key, value in network.state_dict().items()}
    program, _ = write_old_program(partial(create, "picodet_xs", num_classes=2), state, (IMAGE, SCALE), tmp_path)
    assert program.suffix == ".pdmodel"
    imported = import_weights(tmp_path, "picodet_xs")
    assert imported.checkpoint.settings == {"num_classes": 2}
    _assert_same_answers(imported.network, network, 0.0)
    done = _run("import", "bundle", tmp_path, "--out", tmp_path / "bundle", "--name", "old", "--network", "picodet_xs")
    assert done.exit_code == 0, done.output
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert (manifest.program, manifest.scale_factor_input) == ("inference.pdmodel", "scale_factor")
    assert manifest.output.labels == ("class_0", "class_1")


def _copy(network: nn.Layer, name: str) -> nn.Layer:
    copy = create(name)
    copy.set_state_dict(network.state_dict())
    return copy


def test_another_network_is_refused_with_the_differences(tmp_path: Path) -> None:
    state = {key: value.numpy() for key, value in create("pplcnet_x0_25").state_dict().items()}
    del state["conv1.conv.weight"]
    state["fc.bias"] = state["fc.bias"][:10]
    state["surplus"] = np.zeros(3, np.float32)
    path = tmp_path / "weights.pdparams"
    paddle.save(state, str(path))
    with pytest.raises(UnknownNetworkError, match=r"nearest is pplcnet_x0_25, with 3 differences") as caught:
        import_weights(path, "pplcnet_x0_25")
    for word in (
        "missing conv1.conv.weight",
        "extra surplus (3,)",
        "fc.bias has the shape (1000,), the file's is (10,)",
    ):
        assert word in str(caught.value)


class _Traitor:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_pickle_that_would_run_something_is_refused_and_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "weights.pdparams", tmp_path / "was-here"
    path.write_bytes(pickle.dumps({"fc.weight": _Traitor(trace)}))
    for read in (read_pdparams, checkpoint.load):
        with pytest.raises(ValueError, match="do not trust it"):
            read(path)
    assert not trace.exists()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pdparams"
    paddle.save({"a": paddle.ones([40])}, str(path))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(PaddleFileError, match=r"weights\.pdparams"):
            read_pdparams(path)
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(PaddleFileError, match="no state dict"):
        read_pdparams(path)
    write_program(nn.Conv2D(3, 2, 3), (IMAGE,), tmp_path)
    weights = tmp_path / "inference.pdiparams"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(PaddleFileError, match="cut short"):
        import_weights(tmp_path)


@pytest.mark.slow
def test_the_command_writes_a_checkpoint_that_exports(tmp_path: Path) -> None:
    network = _trained("pplcnet_x0_25", num_classes=3)
    source, stored = tmp_path / "weights.pdparams", tmp_path / "imported.ckpt"
    paddle.save(network.state_dict(), str(source))
    done = _run("import", "weights", source, "--out", stored, "--network", "pplcnet_x0_25", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["network"] == "pplcnet_x0_25"
    _assert_same_answers(load_network_checkpoint(stored).build(), network, 0.0)

    done = _run("export", "imported", stored, "--out", tmp_path / "bundle")
    assert done.exit_code != 0 and "--card" in done.output
    card = tmp_path / "card"
    card.mkdir()
    (card / "MODEL_CARD.md").write_text("# Features\n")
    (card / "manifest.yaml").write_text('name: features\nversion: "1"\nlicense: Apache-2.0\n')
    done = _run("export", "imported", stored, "--out", tmp_path / "bundle", "--card", card, "--precision", "int8")
    assert done.exit_code == 0, done.output
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.manifest.output.dimension == 1280 and "inference.yml" in bundle.manifest.files


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    checkpoint.save({"averaged": {}}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="picoseek-train import"):
        load_network_checkpoint(tmp_path / "last.ckpt")
    NetworkCheckpoint("pplcnet_x0_25", {}, {}).save(tmp_path / "other.ckpt")
    assert load_network_checkpoint(tmp_path / "other.ckpt").network == "pplcnet_x0_25"


def test_a_classifier_is_no_drop_in(tmp_path: Path) -> None:
    write_program(create("pplcnet_x0_25", num_classes=3), (IMAGE,), tmp_path)
    done = _run("import", "bundle", tmp_path, "--out", tmp_path / "b", "--name", "x", "--network", "pplcnet_x0_25")
    assert done.exit_code == 1 and "export imported" in done.output


def test_what_is_no_source_is_answered_with_what_would_be(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"neither a \.pdparams file"):
        import_weights(tmp_path / "weights.bin")
    with pytest.raises(PaddleFileError, match="one program"):
        import_weights(tmp_path)
    with pytest.raises(ValueError, match="did you mean"):
        import_weights(tmp_path, "picodet_xx")


@pytest.mark.slow
@pytest.mark.parametrize("dropout", [None, 0.0])
def test_features_that_a_file_does_not_scale_are_not_scaled(tmp_path: Path, dropout: float | None) -> None:
    network = _trained("general_recognition_v2", dropout=dropout)
    copy = create("general_recognition_v2", dropout=dropout)
    copy.set_state_dict(network.state_dict())
    write_program(copy, (IMAGE,), tmp_path)
    imported = import_weights(tmp_path)
    assert imported.checkpoint.settings.get("dropout") == dropout
    re_parameterize(imported.network)
    _assert_same_answers(imported.network, network, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("target", [Format.PDMODEL, Format.ONNX])
@pytest.mark.parametrize("dropout", [0.2, 0.0])
def test_other_formats_tell_a_dropout_too(tmp_path: Path, target: Format, dropout: float) -> None:
    make = partial(create, "pplcnet_x0_25", num_classes=3, dropout=dropout)
    network = _trained("pplcnet_x0_25", num_classes=3, dropout=dropout)
    state = {key: value.numpy() for key, value in network.state_dict().items()}
    written = write_format(Deployable(make, state, (IMAGE,), ("scores",)), target, tmp_path, Precision.FLOAT32)
    imported = import_weights(written[0] if target is Format.ONNX else tmp_path, "pplcnet_x0_25")
    assert imported.checkpoint.settings.get("dropout", 0.2) == dropout
    _assert_same_answers(imported.network, network, 1e-5)


@pytest.mark.slow
def test_a_file_that_looks_twice_is_told(tmp_path: Path) -> None:
    done = _run("import", "weights", default_bundle(Task.DETECTION), "--out", tmp_path / "detector.ckpt")
    assert done.exit_code == 0, done.output
    assert "384 px" in done.stdout and "2 sizes" in done.stderr
    checkpoint = load_network_checkpoint(tmp_path / "detector.ckpt")
    assert imported_model(checkpoint).spec.width == 384
    with pytest.raises(ValueError, match="multiples of 32 px, not 100"):
        imported_model(checkpoint, 100)


@pytest.mark.slow
def test_the_embedder_that_ships_comes_back_with_the_same_answers() -> None:
    folder = default_bundle(Task.EMBEDDING)
    pictures = np.random.default_rng(1).normal(size=(2, 3, 192, 192)).astype(np.float32)
    bundle = load_bundle(folder)
    expected = ExportedEmbedder(bundle.program, bundle.weights)(pictures)
    imported = import_weights(folder)
    assert imported.checkpoint.side == 192
    network = imported.network
    with paddle.no_grad():
        (actual,) = run_on_pictures(network, paddle.to_tensor(pictures)).values()
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=1e-3 * np.abs(expected).max())
