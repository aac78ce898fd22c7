"""The sets as they lie on disk, in small copies made by the tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picoseek_training.data.retrieval_sets import (
    EMOJI_TEST_CODES,
    EMOJI_VENDORS,
    Example,
    retrieval_tasks,
    training_examples,
)

WIDTH, HEIGHT = 300, 200
SMALLEST_CROP = 40


def _write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _grocery(root: Path) -> None:
    for split, lines in {"train": ["train/a.jpg,1,0", "train/b.jpg,2,0"], "val": ["val/c.jpg,1,0"]}.items():
        _write(root / f"grocery/{split}.txt", "\n".join(lines) + "\n")
    _write(root / "grocery/test.txt", "test/d.jpg,2,0\n")
    _write(root / "grocery/iconic.csv", "fine_id,path\n1,iconic/a.jpg\n2,iconic/b.jpg\n")


def _emoji(root: Path, codes: int) -> list[str]:
    names = [f"u{number:05d}" for number in range(codes)]
    # The file's order must not matter.
    _write(root / "emoji/meta.json", json.dumps([{"code": code} for code in reversed(names)]))
    return names


def _detection(root: Path, name: str, boxes: list[list[float]]) -> None:
    document = {
        "images": [{"id": 1, "file_name": "one.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for number, (x1, y1, x2, y2) in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }
    _write(root / f"detection/{name}/train.json", json.dumps(document))


def test_grocery_has_its_labels_and_splits(tmp_path: Path) -> None:
    _grocery(tmp_path)
    folder = tmp_path / "grocery"
    assert training_examples(tmp_path, ("grocery",)) == [
        Example(folder / "train/a.jpg", "grocery", "1"),
        Example(folder / "train/b.jpg", "grocery", "2"),
    ]
    validation, test, iconic = retrieval_tasks(
        tmp_path, ("grocery_train_to_val", "grocery_train_to_test", "grocery_iconic_to_test")
    )
    assert validation.gallery == test.gallery and len(validation.gallery) == 2
    assert [example.label for example in validation.queries] == ["1"]
    assert iconic.queries == test.queries == (Example(folder / "test/d.jpg", "grocery", "2"),)
    assert [(example.path.name, example.label) for example in iconic.gallery] == [("a.jpg", "1"), ("b.jpg", "2")]


def test_class_folders_are_labels_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("logos/gallery/zeta/1.png", "logos/gallery/alpha/2.png", "logos/query/alpha/3.png"):
        _write(tmp_path / name)
    (task,) = retrieval_tasks(tmp_path, ("logos_gallery_to_query",))
    assert [(example.label, example.path.name) for example in task.gallery] == [("alpha", "2.png"), ("zeta", "1.png")]
    assert {example.domain for example in (*task.gallery, *task.queries)} == {"logos"}


def test_emoji_to_learn_and_emoji_to_test_have_no_code_in_common(tmp_path: Path) -> None:
    codes = _emoji(tmp_path, EMOJI_TEST_CODES + 3)
    learned = training_examples(tmp_path, ("emoji",))
    assert {example.label for example in learned} == set(codes[:3])
    assert len(learned) == 3 * len(EMOJI_VENDORS)
    (task,) = retrieval_tasks(tmp_path, ("emoji_google_to_twitter",))
    assert [example.label for example in task.gallery] == codes[3:] == [example.label for example in task.queries]
    assert {example.path.parent.name for example in task.gallery} == {"google"}
    assert {example.path.parent.name for example in task.queries} == {"twitter"}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(
        st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(1, WIDTH), st.integers(1, HEIGHT)),
        max_size=6,
    )
)
def test_crops_hold_their_box_and_lie_in_the_picture(tmp_path: Path, places: list[tuple[int, int, int, int]]) -> None:
    boxes = [[x, y, min(x + width, WIDTH), min(y + height, HEIGHT)] for x, y, width, height in places]
    _detection(tmp_path, "fruit", [list(map(float, box)) for box in boxes])
    crops = training_examples(tmp_path, ("fruit-crops",))
    for crop in crops:
        assert crop.label is None and crop.domain == "fruit" and crop.box is not None
        x1, y1, x2, y2 = crop.box
        assert 0 <= x1 <= x2 - SMALLEST_CROP <= WIDTH - SMALLEST_CROP
        assert 0 <= y1 <= y2 - SMALLEST_CROP <= HEIGHT - SMALLEST_CROP
    large = [box for box in boxes if box[2] - box[0] >= SMALLEST_CROP and box[3] - box[1] >= SMALLEST_CROP]
    held = [
        any(c.box[0] <= x1 and c.box[1] <= y1 and c.box[2] >= x2 and c.box[3] >= y2 for c in crops if c.box)
        for x1, y1, x2, y2 in large
    ]
    assert all(held) and len(crops) >= len(large)


def test_whole_pictures_of_a_detection_set_have_no_box(tmp_path: Path) -> None:
    _detection(tmp_path, "household", [[0.0, 0.0, 100.0, 100.0], [50.0, 50.0, 200.0, 190.0]])
    assert training_examples(tmp_path, ("household",)) == [
        Example(tmp_path / "detection/household/images/one.jpg", "household")
    ]


def test_sets_come_in_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    _grocery(tmp_path)
    _write(tmp_path / "coins/train/euro/1.jpg")
    examples = training_examples(tmp_path, ("coins", "grocery"))
    assert [example.domain for example in examples] == ["coins", "grocery", "grocery"]


@pytest.mark.parametrize("name", ["logos", "grocery_test", ""])
def test_what_is_no_training_set_is_refused_with_those_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"no training sets: \['{name}'\]; known: .*'grocery'"):
        training_examples(tmp_path, ("grocery", name))


def test_an_unknown_task_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no retrieval tasks: .*'coins'.*; known: .*'coins_train_to_test'"):
        retrieval_tasks(tmp_path, ("coins",))


@pytest.mark.parametrize("name", ["grocery", "coins", "clothing", "emoji", "fod-crops", "household"])
def test_a_missing_set_is_an_error_and_not_an_empty_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{name}: .*say with `data`"):
        training_examples(tmp_path, (name,))


def test_no_picture_of_a_task_s_queries_is_in_its_gallery(tmp_path: Path) -> None:
    _grocery(tmp_path)
    _emoji(tmp_path, EMOJI_TEST_CODES + 1)
    for split in ("train", "test"):
        _write(tmp_path / f"coins/{split}/euro/{split}.jpg")
    names = ("grocery_train_to_val", "grocery_iconic_to_test", "emoji_google_to_fluent", "coins_train_to_test")
    for task in retrieval_tasks(tmp_path, names):
        gallery = {example.path for example in task.gallery}
        assert gallery and task.queries and not gallery & {example.path for example in task.queries}
