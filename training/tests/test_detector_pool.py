import json

import cv2
import numpy as np
import pytest
from picoseek_bundle.preprocess import Preprocessor
from picoseek_training.data.coco import read_coco
from picoseek_training.data.picture_cache import cached_pictures
from picoseek_training.detector.config import SetConfig
from picoseek_training.detector.export import input_spec
from picoseek_training.detector.pool import read_set, training_set

PREPROCESSOR = Preprocessor(input_spec(64))


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for index, shade in enumerate((10, 120, 250)):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((32, 128, 3), shade, np.uint8))
    return folder


def write_coco(path, annotations):
    pictures = [{"id": index, "file_name": f"{index}.png", "width": 128, "height": 32} for index in range(3)]
    path.write_text(json.dumps({"images": pictures, "annotations": annotations, "categories": []}))
    return path


def annotation(picture, box, **more):
    return {"id": 1, "image_id": picture, "category_id": 7, "bbox": box, **more}


def test_coco_boxes_become_corners_and_crowds_stand_apart(tmp_path, images):
    file = write_coco(tmp_path / "set.json", [annotation(1, [2, 3, 10, 20]), annotation(1, [0, 0, 5, 5], iscrowd=1)])
    pictures = read_coco(file, images)
    np.testing.assert_array_equal(pictures[1].boxes, [[2, 3, 12, 23]])
    np.testing.assert_array_equal(pictures[1].ignored, [[0, 0, 5, 5]])
    assert pictures[0].boxes.shape == (0, 4)


def test_an_annotation_without_picture_names_itself(tmp_path, images):
    with pytest.raises(ValueError, match="annotation 1 has no picture 9"):
        read_coco(write_coco(tmp_path / "set.json", [annotation(9, [0, 0, 1, 1])]), images)


@pytest.mark.parametrize("box", [[0, 0, float("nan"), 1], [0, 0, 1, float("inf")], [0, 0, "1", 1], [0, 0, 1], None])
def test_a_box_that_is_not_of_finite_numbers_is_refused(tmp_path, images, box):
    with pytest.raises(ValueError, match=r"set\.json: annotation 1: bbox .* must be"):
        read_coco(write_coco(tmp_path / "set.json", [annotation(0, box)]), images)


def test_boxes_to_learn_from_are_cut_and_those_to_measure_on_are_not(tmp_path, images, caplog):
    boxes = [[-10, 5, 30, 10], [120, 0, 8.5, 32], [200, 5, 9, 9], [5, 5, -3, 4], [5, 5, 0, 4], [1, 1, 2, 2]]
    file = write_coco(tmp_path / "set.json", [annotation(0, box) for box in boxes])
    assert len(read_coco(file, images)[0].boxes) == 6 and caplog.messages == []
    raw = read_set(SetConfig("a", 1.0, images, file), PREPROCESSOR, None)
    np.testing.assert_array_equal(raw.annotated[0].boxes, [[0, 5, 20, 15], [120, 0, 128, 32], [1, 1, 3, 3]])
    (said,) = caplog.messages
    assert said.startswith(f"1 boxes of {file} reached over their picture and were cut, 3 were empty and left out; ")


def test_pictures_are_decoded_once(tmp_path, images):
    paths = sorted(images.iterdir())
    first = cached_pictures(paths, PREPROCESSOR, tmp_path / "cache")
    assert first.shape == (3, 64, 64, 3)
    assert first[:, 0, 0, 0].tolist() == [10, 120, 250]
    (file,) = (tmp_path / "cache").iterdir()
    written = file.stat().st_mtime_ns
    cached_pictures(paths, PREPROCESSOR, tmp_path / "cache")
    assert file.stat().st_mtime_ns == written


def test_annotated_boxes_become_input_pixels(tmp_path, images):
    file = write_coco(tmp_path / "set.json", [annotation(0, [64, 8, 64, 8])])
    raw = read_set(SetConfig("a", 1.0, images, file), PREPROCESSOR, tmp_path / "cache")
    targets = training_set(raw)
    assert targets.annotated
    np.testing.assert_allclose(targets.sample(0).boxes, [[32, 16, 64, 32]])


def test_a_set_without_annotations_has_no_boxes_and_as_many_pictures_as_asked(tmp_path, images):
    raw = read_set(SetConfig("a", 1.0, images, pictures=2), PREPROCESSOR, tmp_path / "cache")
    targets = training_set(raw)
    assert not targets.annotated and len(targets.targets) == len(targets.pictures) == 2
    assert targets.sample(1).boxes.shape == (0, 4)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no pictures under"):
        read_set(SetConfig("a", 1.0, tmp_path), PREPROCESSOR, tmp_path / "cache")
