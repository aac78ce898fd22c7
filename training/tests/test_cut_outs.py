import cv2
import numpy as np
import pytest
from picoseek_training.data.cut_outs import paste, read_cut_outs
from picoseek_training.data.detection_augmentation import DetectionSample

NONE = np.zeros((0, 4), np.float32)


def disc():
    picture = np.zeros((48, 48, 4), np.uint8)
    cv2.circle(picture, (24, 24), 15, (255, 255, 255, 255), -1)
    return picture


@pytest.mark.parametrize("seed", range(10))
def test_boxes_are_tight_and_what_is_pasted_covers_nothing(seed):
    black = DetectionSample(np.zeros((200, 160, 3), np.uint8), NONE, NONE)
    pasted = paste(black, [disc()], 3, (0.2, 0.5), np.random.default_rng(seed))
    assert 1 <= len(pasted.boxes) <= 3 and not black.picture.any()
    seen = np.zeros((200, 160), bool)
    for x1, y1, x2, y2 in pasted.boxes.astype(int):
        inside = pasted.picture[y1:y2, x1:x2, 0] > 40
        assert inside.any(axis=0)[[0, -1]].all() and inside.any(axis=1)[[0, -1]].all()
        seen[y1:y2, x1:x2] = True
    assert not (pasted.picture[~seen] > 127).any()


def test_objects_that_are_there_stay_visible():
    whole = DetectionSample(np.zeros((100, 100, 3), np.uint8), np.array([[0, 0, 100, 100]], np.float32), NONE)
    pasted = paste(whole, [disc()], 3, (0.9, 1.0), np.random.default_rng(0))
    assert len(pasted.boxes) == 1 and not pasted.picture.any()


def test_folders_are_read_in_order_and_wrong_pictures_are_named(tmp_path):
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((4, 4, 4), index, np.uint8))
    assert [int(each[0, 0, 0]) for each in read_cut_outs([tmp_path], first=2)] == [0, 1]
    cv2.imwrite(str(tmp_path / "9.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"9\.png is no picture with transparency"):
        read_cut_outs([tmp_path])
    with pytest.raises(FileNotFoundError, match="no PNG or WebP pictures"):
        read_cut_outs([tmp_path / "none"])
