"""Views: drawn once, the same at every size, and never further from the picture than the configuration allows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picoseek_training.data.views import View, ViewConfig, draw_view, render_view

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
CENTRE = np.array([0.5, 0.5, 1.0])
UNCHANGED = ViewConfig(
    min_area=1.0, max_area=1.0, max_log_ratio=0.0, mirror=0.0, turn=0.0, max_angle=0.0, light=0.0, colour=0.0
)
SEEDS = st.tuples(st.integers(0, 2**31), st.integers(0, 50_000), st.integers(0, 9))


@st.composite
def configs(draw: st.DrawFn) -> ViewConfig:
    least = draw(st.floats(0.05, 1.2))
    return ViewConfig(
        min_area=least,
        max_area=least + draw(st.floats(0.0, 0.5)),
        max_log_ratio=draw(st.floats(0.0, 0.5)),
        mirror=draw(st.sampled_from([0.0, 0.5, 1.0])),
        turn=draw(st.sampled_from([0.0, 0.5, 1.0])),
        max_angle=draw(st.floats(0.0, 80.0)),
        light=draw(st.floats(0.0, 0.5)),
        colour=draw(st.floats(0.0, 0.2)),
    )


def _picture(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def _plain(matrix: np.ndarray) -> View:
    return View(matrix, np.ones(3, np.float32), 0.0, (0.0, 0.0, 0.0))


@PATIENT
@given(configs(), SEEDS)
def test_a_seed_always_draws_the_same_view(config: ViewConfig, seed: tuple[int, ...]) -> None:
    first, second = draw_view(config, seed), draw_view(config, seed)
    np.testing.assert_array_equal(first.matrix, second.matrix)
    np.testing.assert_array_equal(first.gain, second.gain)
    assert (first.offset, first.frame) == (second.offset, second.frame)


def test_seeds_draw_different_views() -> None:
    matrices = {draw_view(ViewConfig(), (1, row, view)).matrix.tobytes() for row in range(20) for view in range(4)}
    assert len(matrices) == 80


@PATIENT
@given(configs(), SEEDS)
def test_a_view_stays_within_its_bounds(config: ViewConfig, seed: tuple[int, ...]) -> None:
    view = draw_view(config, seed)
    linear = view.matrix[:, :2]
    area = abs(np.linalg.det(linear))
    assert config.min_area - 1e-9 <= area <= config.max_area + 1e-9
    width, height = np.linalg.norm(linear, axis=0)
    assert abs(math.log(width / height)) <= config.max_log_ratio + 1e-9
    if config.mirror in (0.0, 1.0):
        assert (np.linalg.det(linear) < 0) == (config.mirror == 1.0)
    # The second column is the turned vertical axis, which a mirror leaves alone.
    angle = math.degrees(math.atan2(-linear[0, 1], linear[1, 1]))
    assert abs(angle) <= (config.max_angle if config.turn else 0.0) + 1e-6
    assert (abs(view.gain - 1) <= (1 + config.light) * (1 + config.colour) - 1 + 1e-6).all()
    assert 0 <= view.frame[0] == view.frame[1] == view.frame[2] <= 255


@PATIENT
@given(configs(), SEEDS)
def test_a_side_of_a_crop_lies_in_the_picture_or_spans_it(config: ViewConfig, seed: tuple[int, ...]) -> None:
    view = draw_view(replace(config, turn=0.0), seed)
    centre = view.matrix @ CENTRE
    for axis in (0, 1):
        half = abs(view.matrix[axis, axis]) / 2
        low, high = centre[axis] - half, centre[axis] + half
        inside, spans = low >= -1e-9 and high <= 1 + 1e-9, low <= 1e-9 and high >= 1 - 1e-9
        assert inside or spans


def test_a_view_that_changes_nothing_gives_the_picture_back() -> None:
    picture = _picture(48)
    np.testing.assert_array_equal(render_view(picture, draw_view(UNCHANGED, (3,)), 48), picture)
    mirrored = render_view(picture, draw_view(replace(UNCHANGED, mirror=1.0), (3,)), 48)
    np.testing.assert_array_equal(mirrored, picture[:, ::-1])


@settings(PATIENT, max_examples=30)
@given(configs(), SEEDS, st.sampled_from([24, 96, 160, 224]))
def test_every_size_shows_the_same_part(config: ViewConfig, seed: tuple[int, ...], side: int) -> None:
    view = draw_view(config, seed)
    source = 128
    across = np.linspace(20, 230, source)
    ramps = np.stack([np.tile(across, (source, 1)), np.tile(across[:, None], (1, source))], axis=2)
    picture = np.concatenate([ramps, np.full((source, source, 1), 255)], axis=2).round().astype(np.uint8)
    rendered = render_view(picture, _plain(view.matrix), side).astype(float)
    u, v = np.meshgrid((np.arange(side) + 0.5) / side, (np.arange(side) + 0.5) / side)
    places = np.stack([u, v, np.ones_like(u)], axis=2) @ view.matrix.T * source - 0.5
    inside = ((places > 0) & (places < source - 1)).all(axis=2)
    expected = np.interp(places, np.arange(source), across)
    assert np.abs(rendered[..., :2] - expected)[inside].max(initial=0.0) <= 1.3
    assert (rendered[inside][:, 2] == 255).all()
    outside = ((places < -1) | (places > source)).any(axis=2)
    assert (rendered[outside] == 0).all()


@PATIENT
@given(gain=st.lists(st.floats(0.3, 2.0), min_size=3, max_size=3), offset=st.floats(-80, 80), grey=st.integers(0, 255))
def test_colours_change_by_gain_and_offset(gain: list[float], offset: float, grey: int) -> None:
    view = View(np.eye(2, 3), np.array(gain, np.float32), offset, (0.0, 0.0, 0.0))
    rendered = render_view(np.full((8, 8, 3), grey, np.uint8), view, 8)
    expected = np.clip(grey * np.array(gain) + offset, 0, 255)
    assert np.abs(rendered.astype(float) - expected).max() <= 1.0


@pytest.mark.parametrize("frame", [0.0, 128.0, 255.0])
def test_beyond_the_edge_is_the_frame_s_colour(frame: float) -> None:
    matrix = np.array([[2.0, 0.0, -0.5], [0.0, 2.0, -0.5]])
    view = replace(_plain(matrix), frame=(frame, frame, frame))
    rendered = render_view(np.full((64, 64, 3), 77, np.uint8), view, 64)
    assert (rendered[:14] == frame).all() and (rendered[:, 50:] == frame).all()
    assert (rendered[20:44, 20:44] == 77).all()
