"""Bundles: complete or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picoseek_bundle import BundleError, InputSpec, ManifestError, Preprocessor, load_bundle, write_bundle


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The files of an embedder; what is in them does not matter here."""
    (tmp_path / "network").write_bytes(b"program")
    (tmp_path / "numbers").write_bytes(b"weights" * 1000)
    return {"model.json": tmp_path / "network", "model.pdiparams": tmp_path / "numbers"}


def _fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "task": "embedding",
        "program": "model.json",
        "weights": "model.pdiparams",
        "input": {"width": 16, "height": 16},
        "output": {"kind": "embedding", "dimension": 8},
        "network": "test",
        "license": "Apache-2.0",
    }
    return fields | changes


def test_a_written_bundle_is_read_back_equal(tmp_path: Path, files: dict[str, Path]) -> None:
    written = write_bundle(tmp_path / "bundle", files, **_fields())
    read = load_bundle(tmp_path / "bundle")
    assert read.manifest == written.manifest and read.digest == written.digest and read.space == written.space
    assert read.program.read_bytes() == b"program"


def test_writing_again_takes_the_place_of_the_old_one_and_leaves_nothing(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    target = tmp_path / "out" / "bundle"
    write_bundle(target, files | {"notes.txt": files["model.json"]}, **_fields())
    write_bundle(target, files, **_fields(version="2"))
    assert load_bundle(target).manifest.version == "2"
    assert not (target / "notes.txt").exists()
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("is_file", [False, True], ids=["folder", "file"])
def test_what_is_no_bundle_is_never_replaced(tmp_path: Path, files: dict[str, Path], is_file: bool) -> None:
    target = tmp_path / "holiday"
    picture = target if is_file else target / "beach.jpg"
    picture.parent.mkdir(exist_ok=True)
    picture.write_bytes(b"the only copy")
    with pytest.raises(BundleError, match="choose a new or empty folder"):
        write_bundle(target, files, **_fields())
    assert picture.read_bytes() == b"the only copy"


def test_an_empty_folder_becomes_the_bundle(tmp_path: Path, files: dict[str, Path]) -> None:
    (tmp_path / "new").mkdir()
    assert write_bundle(tmp_path / "new", files, **_fields()).folder == tmp_path / "new"


def test_the_space_depends_on_what_makes_vectors_and_on_nothing_else(tmp_path: Path, files: dict[str, Path]) -> None:
    def space(**changes: Any) -> str:
        return write_bundle(tmp_path / "bundle", files, **_fields(**changes)).space

    base = space()
    assert space(name="other", version="9", license="MIT", description="x") == base
    assert space(input={"width": 32, "height": 16}) != base
    assert space(input={"width": 16, "height": 16, "interpolation": "bicubic"}) != base
    assert space(output={"kind": "embedding", "dimension": 16}) != base
    assert space(output={"kind": "embedding", "dimension": 8, "normalize": False}) != base
    files["model.pdiparams"].write_bytes(b"other weights")
    assert space() != base


def test_damage_is_named(tmp_path: Path, files: dict[str, Path]) -> None:
    bundle = write_bundle(tmp_path / "bundle", files, **_fields())
    with pytest.raises(BundleError, match=r"manifest\.json"):
        load_bundle(tmp_path)
    damaged = bytearray(bundle.weights.read_bytes())
    damaged[100] ^= 1
    bundle.weights.write_bytes(damaged)
    with pytest.raises(BundleError, match=r"model\.pdiparams does not match"):
        load_bundle(bundle.folder)
    bundle.weights.unlink()
    with pytest.raises(BundleError, match=r"model\.pdiparams is missing"):
        load_bundle(bundle.folder)


@pytest.mark.parametrize(
    ("content", "complaint"), [("{", "manifest: Invalid JSON"), ("{}", "manifest field name: Field required")]
)
def test_a_bad_manifest_is_named_by_its_path(
    tmp_path: Path, files: dict[str, Path], content: str, complaint: str
) -> None:
    path = write_bundle(tmp_path / "bundle", files, **_fields()).folder / "manifest.json"
    path.write_text(content)
    with pytest.raises(ManifestError, match=f"^{path}: {complaint}"):
        load_bundle(path.parent)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"name": "Not A Name"}, "name"),
        ({"task": "detection"}, "kind boxes"),
        ({"program": "absent.json"}, "absent.json"),
        ({"input": {"width": 16, "height": 16, "std": (0, 1, 1)}}, "std"),
        ({"input": {"width": 16, "height": 16, "resize": "short_side_crop"}}, "short_side"),
        ({"output": {"kind": "embedding", "dimension": 9, "binarize": True, "metric": "hamming"}}, "divisible by 8"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, files: dict[str, Path], changes: dict[str, Any], word: str) -> None:
    with pytest.raises(BundleError, match=word):
        write_bundle(tmp_path / "bundle", files, **_fields(**changes))
    assert not (tmp_path / "bundle").exists()


def test_a_file_outside_the_folder_is_refused(tmp_path: Path, files: dict[str, Path]) -> None:
    bundle = write_bundle(tmp_path / "bundle", files, **_fields())
    manifest = json.loads((bundle.folder / "manifest.json").read_text())
    manifest["files"]["../network"] = manifest["files"]["model.json"]
    (bundle.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="must lie in the bundle's folder"):
        load_bundle(bundle.folder)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_preprocessing_follows_its_formula(order: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    spec = InputSpec(width=8, height=8, channel_order=order, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    preprocess = Preprocessor(spec)
    resized = preprocess.resize(picture).astype(np.float64)
    channels = resized if order == "bgr" else resized[:, :, ::-1]
    expected = ((channels / 255 - spec.mean) / spec.std).transpose(2, 0, 1)
    shared = np.zeros((2, 3, 8, 8), np.float32)
    assert preprocess(picture, out=shared[1]) is not None
    np.testing.assert_allclose(shared[1], expected, atol=1e-6)
    np.testing.assert_array_equal(shared[0], 0)
    assert preprocess.scale_factor(picture) == (8 / 6, 8 / 7)


def test_short_side_crop_keeps_the_ratio_and_takes_the_centre() -> None:
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 255
    spec = InputSpec(
        width=16, height=16, resize="short_side_crop", short_side=20, scale=1, mean=(0, 0, 0), std=(1, 1, 1)
    )
    assert Preprocessor(spec)(picture).min() == 255
