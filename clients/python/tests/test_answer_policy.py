"""Which of several answers about one picture stays."""

from __future__ import annotations

from picoseek import AnswerPolicy, Box, Candidate, ObjectSource, RecognizedObject

PICTURE = Box(0, 0, 100, 100)


def _object(
    label: str, score: float, box: Box, known: bool = True, source: ObjectSource = ObjectSource.DETECTED
) -> RecognizedObject:
    return RecognizedObject(box, source, 0.5, known, (Candidate(label, label, label, score),))


def _labels(*objects: RecognizedObject, larger_is_closer: bool = True) -> list[str | None]:
    return [found.label for found in AnswerPolicy().choose(objects, larger_is_closer)]


def test_the_whole_picture_does_not_hide_the_box() -> None:
    whole = _object("cup", 0.95, PICTURE, source=ObjectSource.WHOLE)
    box = _object("cup", 0.8, Box(10, 10, 60, 60))
    (answer,) = AnswerPolicy().choose([box, whole], True)
    assert answer is box


def test_the_whole_picture_answers_where_no_box_does() -> None:
    whole = _object("cup", 0.7, PICTURE, source=ObjectSource.WHOLE)
    assert _labels(_object("", 0.2, Box(10, 10, 60, 60), known=False), whole)[0] == "cup"
    assert _labels(whole) == ["cup"]


def test_neighbours_and_nested_things_of_other_labels_stay() -> None:
    table, cup = _object("table", 0.8, Box(0, 0, 90, 90)), _object("cup", 0.9, Box(20, 20, 50, 50))
    neighbour = _object("spoon", 0.7, Box(45, 20, 80, 50))
    assert _labels(table, cup, neighbour) == ["cup", "table", "spoon"]


def test_one_thing_seen_twice_is_one_answer() -> None:
    assert _labels(_object("cup", 0.9, Box(10, 10, 60, 60)), _object("cup", 0.8, Box(12, 8, 62, 58))) == ["cup"]
    assert _labels(_object("cup", 0.7, Box(0, 0, 90, 90)), _object("cup", 0.9, Box(20, 20, 50, 50))) == ["cup"]
    apart = [_object("cup", 0.9, Box(0, 0, 40, 40)), _object("cup", 0.8, Box(60, 60, 100, 100))]
    assert _labels(*apart) == ["cup", "cup"]


def test_with_distances_the_smaller_one_is_surer() -> None:
    near, far = _object("cup", 0.1, Box(10, 10, 60, 60)), _object("mug", 0.5, Box(10, 10, 60, 60))
    assert _labels(far, near, larger_is_closer=False) == ["cup"]


def test_unknown_things_are_shown_unless_they_are_part_of_a_known_one() -> None:
    known = _object("bicycle", 0.9, Box(0, 0, 80, 80))
    wheel = _object("", 0.1, Box(10, 10, 30, 30), known=False)
    stranger = _object("", 0.1, Box(82, 0, 100, 20), known=False)
    assert _labels(known, wheel, stranger) == ["bicycle", None]
