"""What a run keeps is used again for the same and made anew for anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from picoseek_training.data.classes import ClassTable
from picoseek_training.distillation.linear_neck import LinearNeckConfig
from picoseek_training.embedder.targets import learn_teacher_space

NECK = LinearNeckConfig(dimension=4, epochs=1, batch=8)


def _space(folder: Path, features: np.ndarray, classes: np.ndarray, raw_weight: float = 0.5) -> tuple[np.ndarray, bool]:
    """The projection of a teacher's space, and whether it was learned and not read."""
    learned: list[int] = []
    table = ClassTable(classes, np.zeros(2, np.int64))
    space = learn_teacher_space(features, table, 4, NECK, raw_weight, folder, lambda done, total: learned.append(done))
    return space.projection, bool(learned)


def test_a_teacher_s_neck_is_learned_again_when_features_labels_or_settings_differ(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 16, 6)).astype(np.float16)
    classes = np.arange(16) % 2
    first, learned = _space(tmp_path, features, classes)
    assert learned
    again, learned = _space(tmp_path, features, classes)
    assert not learned
    np.testing.assert_array_equal(first, again)
    assert _space(tmp_path, features, classes, raw_weight=0.25)[1]
    assert _space(tmp_path, features, 1 - classes)[1]
    assert _space(tmp_path, features + np.float16(1), 1 - classes)[1]
