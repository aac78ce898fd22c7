"""Each thing that can be wrong with data, in small sets made for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picoseek_training.data.check.alike import MOST_DIFFERENT_BITS, alike
from picoseek_training.data.check.checking import check_data
from picoseek_training.data.check.config import CheckConfig, SplitConfig
from picoseek_training.data.check.finding import Kind
from picoseek_training.data.check.picture_state import PictureState
from picoseek_training.data.check.report import CheckReport


def _pixels(seed: int, width: int = 96, height: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def _picture(path: Path, seed: int, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), _pixels(seed, **size))
    return path


def _coco(path: Path, images: list[dict[str, Any]], boxes: list[tuple[int, list[float], int]]) -> Path:
    document = {
        "images": images,
        "annotations": [
            {"id": number, "image_id": image, "category_id": category, "bbox": box}
            for number, (image, box, category) in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "can"}, {"id": 2, "name": "tool"}],
    }
    path.write_text(json.dumps(document))
    return path


def _check(*sources: Path, **more: Any) -> CheckReport:
    splits = tuple(SplitConfig(source.stem, source) for source in sources)
    return check_data(CheckConfig(splits, **more), lambda done, total: None)


def _kinds(report: CheckReport) -> dict[Kind, int]:
    return {kind: n for kind in Kind if (n := sum(finding.kind is kind for finding in report.findings))}


def _only(report: CheckReport, kind: Kind) -> str:
    (finding,) = [each for each in report.findings if each.kind is kind]
    return f"{finding.split}: {finding.what} ({finding.detail})"


def _good_folder(root: Path, first_seed: int = 0) -> Path:
    for label in range(3):
        for number in range(2):
            _picture(root / f"class{label}" / f"{number}.png", first_seed + 10 * label + number)
    return root


def test_good_folders_have_no_findings(tmp_path: Path) -> None:
    report = _check(_good_folder(tmp_path / "train"), _good_folder(tmp_path / "test", 100))
    assert report.findings == () and not report.has_errors
    assert list(report.lines()) == [
        "train: 6 pictures, classes: 3; pictures a class (min / median / max): 2 / 2 / 2",
        "test: 6 pictures, classes: 3; pictures a class (min / median / max): 2 / 2 / 2",
        "nothing is wrong",
    ]
    assert report.as_json()["splits"][0]["class_sizes"] == {"min": 2, "median": 2, "max": 2}


def test_what_is_wrong_with_labelled_pictures(tmp_path: Path) -> None:
    root = _good_folder(tmp_path / "train")
    (root / "nothing").mkdir()
    _picture(root / "lonely/1.png", 50)
    _picture(root / "class0/tiny.png", 51, width=20, height=90)
    (root / "class1/broken.jpg").write_bytes((root / "class1/0.png").read_bytes()[:200])
    (root / "class1/moving.gif").touch()
    (root / "class1/.hidden.gif").touch()
    (root / "notes.txt").touch()
    report = _check(root)
    assert _kinds(report) == {
        Kind.UNREAD_FILE: 1,
        Kind.BROKEN_PICTURE: 1,
        Kind.EMPTY_CLASS: 1,
        Kind.CLASS_OF_ONE: 1,
        Kind.TINY_PICTURE: 1,
    }
    assert report.has_errors
    assert _only(report, Kind.EMPTY_CLASS) == "train: nothing ()"
    assert "20 x 90 px" in _only(report, Kind.TINY_PICTURE)
    assert report.as_json()["splits"][0]["class_sizes"] == {"min": 0, "median": 2, "max": 3}


def test_a_missing_file_of_a_label_file_is_named(tmp_path: Path) -> None:
    _good_folder(tmp_path)
    (tmp_path / "list.txt").write_text("class0/0.png 0\nclass0/1.png 0\nclass1/0.png 1\nclass1/gone.png 1\n")
    report = _check(tmp_path / "list.txt")
    assert _kinds(report) == {Kind.MISSING_FILE: 1}
    assert "class1/gone.png" in _only(report, Kind.MISSING_FILE)


def test_a_missing_picture_does_not_hide_where_the_others_are(tmp_path: Path) -> None:
    entries = [{"id": number, "file_name": f"{number}.png", "width": 96, "height": 64} for number in range(3)]
    for number in (1, 2):
        _picture(tmp_path / "images" / f"{number}.png", number)
    boxes = [(number, [1.0, 2.0, 30.0, 40.0], 1) for number in range(3)]
    report = _check(_coco(tmp_path / "split.json", entries, boxes))
    assert _kinds(report)[Kind.MISSING_FILE] == 1
    assert "0.png" in _only(report, Kind.MISSING_FILE)


def test_a_single_class_is_nothing_to_learn_from(tmp_path: Path) -> None:
    for number in range(2):
        _picture(tmp_path / f"train/only/{number}.png", number)
    assert _kinds(_check(tmp_path / "train")) == {Kind.ONE_CLASS: 1}


def test_equal_files_within_and_between_splits(tmp_path: Path) -> None:
    train, test = _good_folder(tmp_path / "train"), _good_folder(tmp_path / "test", 100)
    (train / "class0/again.png").write_bytes((train / "class0/0.png").read_bytes())
    (train / "class2/other.png").write_bytes((train / "class1/0.png").read_bytes())
    (test / "class1/leak.png").write_bytes((train / "class2/1.png").read_bytes())
    report = _check(train, test)
    assert _kinds(report) == {Kind.DUPLICATE_IN_SPLIT: 2, Kind.TWO_LABELS: 1, Kind.DUPLICATE_BETWEEN_SPLITS: 1}
    assert "labels class1, class2" in _only(report, Kind.TWO_LABELS)
    assert _only(report, Kind.DUPLICATE_BETWEEN_SPLITS).startswith("train + test: ")


def test_a_picture_saved_anew_and_smaller_looks_the_same(tmp_path: Path) -> None:
    train, test = _good_folder(tmp_path / "train"), _good_folder(tmp_path / "test", 100)
    pixels = cv2.imread(str(train / "class0/0.png"))
    cv2.imwrite(str(test / "class0/smaller.jpg"), cv2.resize(pixels, (72, 48), interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(train / "class0/saved.jpg"), pixels)
    report = _check(train, test)
    assert _kinds(report) == {Kind.NEAR_DUPLICATE_BETWEEN_SPLITS: 1} and not report.has_errors
    assert all(name in _only(report, Kind.NEAR_DUPLICATE_BETWEEN_SPLITS) for name in ("0.png", "saved", "smaller"))
    assert _kinds(_check(train, test, near_duplicates=False)) == {}


def test_flat_pictures_of_different_colours_do_not_look_the_same(tmp_path: Path) -> None:
    for number, colour in enumerate([(0, 0, 0), (0, 0, 200), (200, 0, 0), (255, 255, 255)]):
        path = tmp_path / f"train/class{number // 2}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((64, 64, 3), colour, np.uint8))
    assert _kinds(_check(tmp_path / "train")) == {}


def test_what_is_wrong_with_boxes(tmp_path: Path) -> None:
    for number in range(4):
        _picture(tmp_path / f"images/{number}.png", number)
    images = [{"id": n, "file_name": f"{n}.png", "width": 96, "height": 64} for n in range(4)]
    images[1]["width"] = 64
    boxes = [
        (0, [0, 0, 96.5, 64], 1),
        (0, [10, 10, 0, 20], 1),
        (0, [10, 10, float("nan"), 20], 1),
        (1, [0, 0, 20, 20], 1),
        (2, [50, 50, 40, 40], 1),
    ]
    report = _check(_coco(tmp_path / "train.json", images, boxes))
    assert _kinds(report) == {
        Kind.SIZE_DIFFERS: 1,
        Kind.BOX_OUTSIDE: 1,
        Kind.BOX_DEGENERATE: 2,
        Kind.CATEGORY_WITHOUT_BOXES: 1,
        Kind.NO_BOX: 1,
    }
    assert "box 50, 50, 90, 90 in 96 x 64 px" in _only(report, Kind.BOX_OUTSIDE)
    assert "96 x 64 px, the annotations say 64 x 64" in _only(report, Kind.SIZE_DIFFERS)
    assert report.as_json()["splits"][0]["class_sizes"] == {"min": 0, "median": 2.5, "max": 5}


def test_annotations_of_nothing_that_is_listed_are_named_and_the_others_looked_at(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png", 1)
    listed = [{"id": 1, "file_name": "a.png", "width": 96, "height": 64}]
    boxes = [(1, [0, 0, 9, 9], 1), (1, [0, 0, 9, 9], 2), (9, [0, 0, 1, 1], 1), (1, [0, 0, 1, 1], 7)]
    report = _check(_coco(tmp_path / "train.json", listed, boxes))
    assert _kinds(report) == {Kind.LOOSE_ANNOTATION: 2} and report.has_errors
    shown = list(report.lines())
    assert shown[-2:] == ["    train: annotation 2 (image 9)", "    train: annotation 3 (category 7)"]
    assert report.as_json()["splits"][0]["boxes"] == 2


def test_a_split_without_boxes_is_empty(tmp_path: Path) -> None:
    assert _kinds(_check(_coco(tmp_path / "train.json", [], []))) == {Kind.EMPTY_SPLIT: 1}


def test_many_findings_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    lines = [f"gone{number}.png {number % 2}" for number in range(30)]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    report = _check(tmp_path / "list.txt")
    shown = list(report.lines())
    assert shown[1].startswith("error (30): files do not exist")
    assert shown[-1] == "    and 22 more; --json names them all"
    assert len(report.as_json()["findings"]) == 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": [{"id": 5, "image_id": 1, "category_id": 1}]}, "annotation 5 has no `bbox`"),
        ({"categories": None}, "`categories` must be a list"),
    ],
)
def test_a_file_that_contradicts_itself_is_an_error_with_its_place(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
        "annotations": [],
        "categories": [{"id": 1, "name": "x"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(document | change))
    with pytest.raises(ValueError, match=rf"train\.json.*{message}"):
        _check(tmp_path / "train.json")


def test_sources_that_are_not_there_and_names_that_are_there_twice(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        _check(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="splits: "):
        _check(tmp_path, tmp_path)


_BLACK = np.zeros((8, 8, 3), np.uint8)


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=12), st.lists(st.integers(0, 63), max_size=5), st.data())
def test_alike_is_what_comparing_all_pairs_finds(hashes: list[int], flips: list[int], data: st.DataObject) -> None:
    for flip in flips:
        if hashes:
            hashes.append(data.draw(st.sampled_from(hashes)) ^ (1 << flip))
    states = [PictureState(9, 9, str(n), bits, _BLACK) for n, bits in enumerate(hashes)]
    group = list(range(len(hashes)))
    for _ in hashes:
        for i, one in enumerate(hashes):
            for j, two in enumerate(hashes):
                if (one ^ two).bit_count() <= MOST_DIFFERENT_BITS:
                    group[i] = group[j] = min(group[i], group[j])
    expected = [[i for i in range(len(hashes)) if group[i] == g] for g in sorted(set(group))]
    assert sorted(alike(states)) == [each for each in expected if len(each) > 1]
