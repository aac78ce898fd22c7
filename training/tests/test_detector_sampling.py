import numpy as np
import pytest
from picoseek_training.data.detection_augmentation import (
    DetectionSample,
    mosaic,
    random_colour,
    random_crop,
    random_flip,
    resize,
)
from picoseek_training.detector.config import AugmentationConfig
from picoseek_training.detector.pool import TrainingSet
from picoseek_training.detector.sampling import BatchSampler, ignored_cells
from picoseek_training.detector.targets import PictureTargets

BOXES = np.array([[4, 6, 30, 40], [20, 20, 60, 62]], np.float32)
NONE = np.zeros((0, 4), np.float32)


def sample(seed=0):
    picture = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return DetectionSample(picture, BOXES, NONE)


def marked():
    """A white object on black, so that the box can be read off the picture."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[10:30, 5:25] = 255
    return DetectionSample(picture, np.array([[5, 10, 25, 30]], np.float32), NONE)


def white_box(picture):
    rows, columns = np.nonzero(picture[..., 0] > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize("seed", range(20))
def test_crops_keep_boxes_on_their_objects(seed):
    cropped = random_crop(marked(), np.random.default_rng(seed))
    np.testing.assert_array_equal(cropped.boxes[0], white_box(cropped.picture))


@pytest.mark.parametrize("seed", range(4))
def test_flips_keep_boxes_on_their_objects(seed):
    flipped = random_flip(marked(), np.random.default_rng(seed))
    np.testing.assert_array_equal(flipped.boxes[0], white_box(flipped.picture))


def test_resizing_and_mosaic_move_boxes_with_their_objects():
    resized = resize(marked(), 128, 32, interpolation=1)
    np.testing.assert_allclose(resized.boxes[0], white_box(resized.picture), atol=1)
    black = DetectionSample(np.zeros((64, 64, 3), np.uint8), NONE, NONE)
    laid = mosaic([black, black, black, marked()], 96, np.random.default_rng(0))
    assert laid.picture.shape == (96, 96, 3)
    np.testing.assert_allclose(laid.boxes[0], white_box(laid.picture), atol=1.5)


def test_a_crop_turns_objects_that_it_cuts_off_into_ignored_regions():
    for seed in range(40):
        cropped = random_crop(sample(), np.random.default_rng(seed))
        if len(cropped.boxes) == 1 and len(cropped.ignored) == 1:
            return
    pytest.fail("no crop cut an object")


def test_colour_changes_pixels_and_no_boxes():
    changed = [random_colour(sample(), np.random.default_rng(seed)) for seed in range(8)]
    assert any((each.picture != sample().picture).any() for each in changed)
    assert all(each.boxes is BOXES or (each.boxes == BOXES).all() for each in changed)


def sampler(seed):
    pictures = np.stack([sample(index).picture for index in range(5)])
    targets = [PictureTargets(BOXES, NONE) for _ in range(5)]
    sets = [TrainingSet("a", 1.0, pictures, targets), TrainingSet("b", 3.0, pictures, targets)]
    return BatchSampler(sets, AugmentationConfig(sizes=(192, 224), mosaic=0.5, crop=0.5), batch_size=3, seed=seed)


def test_a_batch_depends_on_seed_and_step_alone():
    first = sampler(1)
    for step in range(3):
        first.batch(step)
    again, other = sampler(1).batch(2), sampler(2).batch(2)
    expected = first.batch(2)
    np.testing.assert_array_equal(again.image, expected.image)
    np.testing.assert_array_equal(again.truth.boxes, expected.truth.boxes)
    assert other.image.shape != expected.image.shape or (other.image != expected.image).any()


def test_boxes_of_a_batch_lie_in_its_pictures():
    for step in range(10):
        batch = sampler(0).batch(step)
        size = batch.image.shape[2]
        boxes = batch.truth.boxes[batch.truth.valid]
        assert size in (192, 224)
        assert boxes.min() >= 0 and boxes.max() <= size + 1e-3
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_cells_of_ignored_regions_are_marked():
    points = np.array([[4, 4], [12, 4], [100, 100]], np.float32)
    marked_cells = ignored_cells([np.array([[0, 0, 8, 8]], np.float32), NONE], points)
    np.testing.assert_array_equal(marked_cells, [[True, False, False], [False, False, False]])
