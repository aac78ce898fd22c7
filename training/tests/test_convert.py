"""Each native format in a small copy, converted and compared with boxes computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picoseek_training.configuration import read_configuration
from picoseek_training.data.coco import read_coco
from picoseek_training.data.convert.boxes import clean_boxes
from picoseek_training.data.convert.config import ConvertConfig, SourceConfig
from picoseek_training.data.convert.conversion import SourceCounts, convert
from picoseek_training.data.convert.source import SourceBox


def _quiet(_name: str, _done: int, _total: int) -> None:
    pass


def _picture(path: Path, width: int = 100, height: int = 80) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 128, np.uint8))
    return path


def _json(path: Path, document: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def _convert(tmp_path: Path, *sources: SourceConfig, **more: Any) -> tuple[dict[str, Any], dict[str, SourceCounts]]:
    config = ConvertConfig(tmp_path / "out" / "train.json", sources, **more)
    counts = convert(config, _quiet)
    return json.loads(config.output.read_text()), counts


def _boxes(document: dict[str, Any]) -> dict[str, list[tuple[list[float], int]]]:
    names = {image["id"]: image["file_name"] for image in document["images"]}
    found: dict[str, list[tuple[list[float], int]]] = {name: [] for name in names.values()}
    for annotation in document["annotations"]:
        assert annotation["category_id"] == 1 and annotation["ignore"] == annotation["iscrowd"]
        found[names[annotation["image_id"]]].append((annotation["bbox"], annotation["iscrowd"]))
    return found


def _coco2017(root: Path) -> SourceConfig:
    images = root / "train2017"
    for name in ("000000000009.jpg", "000000000025.jpg"):
        _picture(images / name)
    document = {
        "info": {"description": "COCO 2017 Dataset", "year": 2017},
        "licenses": [{"id": 3, "name": "Attribution-NonCommercial-NoDerivs License"}],
        "images": [
            {"license": 3, "file_name": "000000000025.jpg", "height": 80, "width": 100, "id": 25},
            {"license": 3, "file_name": "000000000009.jpg", "height": 80, "width": 100, "id": 9},
            {"license": 3, "file_name": "000000000030.jpg", "height": 80, "width": 100, "id": 30},
        ],
        "annotations": [
            {
                "segmentation": [[10.5, 20.25, 40.5, 20.25, 40.5, 60.75]],
                "area": 1215.0,
                "iscrowd": 0,
                "image_id": 9,
                "bbox": [10.5, 20.25, 30.0, 40.5],
                "category_id": 51,
                "id": 1038967,
            },
            {
                "segmentation": {"counts": [272, 2, 4], "size": [80, 100]},
                "area": 300,
                "iscrowd": 1,
                "image_id": 9,
                "bbox": [0, 0, 99, 30],
                "category_id": 1,
                "id": 900100000009,
            },
            {"area": 0, "iscrowd": 0, "image_id": 25, "bbox": [90, 70, 20, 20], "category_id": 25, "id": 2},
            {"area": 0, "iscrowd": 0, "image_id": 25, "bbox": [5, 5, 0.4, 20], "category_id": 25, "id": 3},
        ],
        "categories": [{"supercategory": "person", "id": 1, "name": "person"}],
    }
    return SourceConfig("coco", "coco2017", images, _json(root / "annotations/instances_train2017.json", document))


def test_coco2017(tmp_path: Path) -> None:
    document, counts = _convert(tmp_path, _coco2017(tmp_path))
    assert document["categories"] == [{"id": 1, "name": "foreground", "supercategory": "foreground"}]
    assert _boxes(document) == {
        "../train2017/000000000009.jpg": [([10.5, 20.25, 30.0, 40.5], 0), ([0.0, 0.0, 99.0, 30.0], 1)],
        "../train2017/000000000025.jpg": [([90.0, 70.0, 10.0, 10.0], 0)],
    }
    assert counts["coco"] == SourceCounts(listed=3, written=2, missing=1, boxes=3, ignored=1, clipped=1, degenerate=1)


@pytest.mark.parametrize("layout", ["patch8/objects365_v1_00420917.jpg", "images/v1/patch8/objects365_v1_00420917.jpg"])
def test_objects365_version_2_in_its_patch_folders(tmp_path: Path, layout: str) -> None:
    train = tmp_path / "train"
    _picture(train / layout)
    document = {
        "images": [
            {
                "height": 80,
                "id": 420917,
                "license": 5,
                "width": 100,
                "file_name": "images/v1/patch8/objects365_v1_00420917.jpg",
                "url": "",
            }
        ],
        "annotations": [
            {
                "id": 1,
                "iscrowd": 0,
                "isfake": 0,
                "area": 400.0,
                "isreflected": 0,
                "bbox": [-4.5, 30.0, 24.5, 20.0],
                "image_id": 420917,
                "category_id": 84,
            },
            {
                "id": 2,
                "iscrowd": 1,
                "isfake": 0,
                "area": 1.0,
                "isreflected": 0,
                "bbox": [50.0, 50.0, 60.0, 20.0],
                "image_id": 420917,
                "category_id": 2,
            },
        ],
        "categories": [{"name": "Person", "id": 1}],
        "licenses": [],
    }
    source = SourceConfig("o365", "objects365", train, _json(tmp_path / "zhiyuan_objv2_train.json", document))
    written, counts = _convert(tmp_path, source)
    assert _boxes(written) == {f"../train/{layout}": [([0.0, 30.0, 20.0, 20.0], 0), ([50.0, 50.0, 50.0, 20.0], 1)]}
    assert counts["o365"].clipped == 2


def test_objects365_version_1_names_bare_files(tmp_path: Path) -> None:
    _picture(tmp_path / "train/obj365_train_000000000001.jpg")
    document = {
        "images": [{"file_name": "obj365_train_000000000001.jpg", "height": 80, "width": 100, "id": 1, "license": 1}],
        "annotations": [
            {"area": 200.0, "bbox": [1.0, 2.0, 10.0, 20.0], "category_id": 3, "id": 7, "image_id": 1, "iscrowd": 0}
        ],
        "categories": [{"id": 3, "name": "chair"}],
    }
    source = SourceConfig("o365", "objects365", tmp_path / "train", _json(tmp_path / "objects365_train.json", document))
    assert _boxes(_convert(tmp_path, source)[0]) == {
        "../train/obj365_train_000000000001.jpg": [([1.0, 2.0, 10.0, 20.0], 0)]
    }


@pytest.mark.parametrize(
    "text",
    [
        "personai_icartoonface_dettrain_00001.jpg,10,20,30,60\npersonai_icartoonface_dettrain_00001.jpg,40,-5,120,50\n",
        "imgname,xmin,ymin,xmax,ymax\r\n"
        "personai_icartoonface_dettrain_00001.jpg,10,20,30,60,face,1\r\n"
        "personai_icartoonface_dettrain_00001.jpg,40,-5,120,50,face,1\r\n",
        "dettrain/personai_icartoonface_dettrain_00001.jpg\t10\t20\t30\t60\n"
        "dettrain/personai_icartoonface_dettrain_00001.jpg\t40\t-5\t120\t50\n\n",
        "personai_icartoonface_dettrain_00001.jpg 10 20 30 60\npersonai_icartoonface_dettrain_00001.jpg 40 -5 120 50",
    ],
)
def test_icartoonface(tmp_path: Path, text: str) -> None:
    _picture(tmp_path / "images/personai_icartoonface_dettrain_00001.jpg")
    (tmp_path / "annotation.txt").write_bytes(text.encode())
    source = SourceConfig("faces", "icartoonface", tmp_path / "images", tmp_path / "annotation.txt")
    document, _ = _convert(tmp_path, source)
    (image,) = document["images"]
    assert (image["width"], image["height"]) == (100, 80)
    assert _boxes(document) == {
        "../images/personai_icartoonface_dettrain_00001.jpg": [
            ([10.0, 20.0, 20.0, 40.0], 0),
            ([40.0, 0.0, 60.0, 50.0], 0),
        ]
    }


def test_icartoonface_names_the_line_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "faces.csv").write_text("imgname,xmin,ymin,xmax,ymax\na.jpg,1,2,3,four\n")
    source = SourceConfig("faces", "icartoonface", tmp_path / "images", tmp_path / "faces.csv")
    with pytest.raises(ValueError, match=r"faces\.csv, line 2: write `picture,x1,y1,x2,y2`"):
        _convert(tmp_path, source)


_VOC = """<annotation>
	<folder>{brand}</folder>
	<filename>wrong.jpg</filename>
	<path>D:\\logo\\{brand}\\1.jpg</path>
	<source><database>Unknown</database></source>
	<size><width>{width}</width><height>{height}</height><depth>3</depth></size>
	<segmented>0</segmented>
	<object>
		<name>{brand}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>
		<bndbox><xmin>11</xmin><ymin>12</ymin><xmax>61</xmax><ymax>42</ymax></bndbox>
	</object>
	<object>
		<name>{brand}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>1</difficult>
		<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>
	</object>
	<object>
		<name>{brand}</name>
		<bndbox><xmin>30</xmin><ymin>30</ymin><xmax>30</xmax><ymax>50</ymax></bndbox>
	</object>
</annotation>
"""


def _logodet(root: Path) -> SourceConfig:
    for folder, size in (("Food/7-Up", (100, 80)), ("Clothes/Abibas", (0, 0))):
        _picture(root / "LogoDet-3K" / folder / "1.jpg")
        text = _VOC.format(brand=folder.split("/")[1], width=size[0], height=size[1])
        (root / "LogoDet-3K" / folder / "1.xml").write_text(text)
    return SourceConfig("logos", "logodet3k", root / "LogoDet-3K")


def test_logodet3k(tmp_path: Path) -> None:
    document, counts = _convert(tmp_path, _logodet(tmp_path))
    boxes = [([11.0, 12.0, 50.0, 30.0], 0), ([0.0, 0.0, 9.0, 8.0], 1)]
    assert list(_boxes(document).items()) == [
        ("../LogoDet-3K/Clothes/Abibas/1.jpg", boxes),
        ("../LogoDet-3K/Food/7-Up/1.jpg", boxes),
    ]
    assert {(image["width"], image["height"]) for image in document["images"]} == {(100, 80)}
    assert counts["logos"].degenerate == 2


def test_logodet3k_names_the_file_that_is_wrong(tmp_path: Path) -> None:
    source = _logodet(tmp_path)
    (source.images / "Food/7-Up/1.xml").write_text("<annotation><object></annotation>")
    with pytest.raises(ValueError, match=r"7-Up/1\.xml is no VOC file"):
        _convert(tmp_path, source)


def _rpc(root: Path) -> SourceConfig:
    names = [f"6924882496616_camera{camera}-1.jpg" for camera in range(4)]
    for name in names:
        _picture(root / "train2019" / name)
    document = {
        "info": {"year": 2019},
        "images": [{"file_name": name, "width": 100, "height": 80, "id": number} for number, name in enumerate(names)],
        "annotations": [
            {
                "area": 2000.0,
                "bbox": [20.0 + number, 10.0, 50.0, 40.0],
                "category_id": 200,
                "id": number,
                "image_id": number,
                "iscrowd": 0,
                "segmentation": [[]],
            }
            for number in range(4)
        ],
        "categories": [{"supercategory": "puffed_food", "id": 200, "name": "200_stationery", "sku_name": "x"}],
    }
    return SourceConfig("rpc", "rpc", root / "train2019", _json(root / "instances_train2019.json", document))


def test_rpc(tmp_path: Path) -> None:
    assert _boxes(_convert(tmp_path, _rpc(tmp_path))[0]) == {
        f"../train2019/6924882496616_camera{camera}-1.jpg": [([20.0 + camera, 10.0, 50.0, 40.0], 0)]
        for camera in range(4)
    }


def test_merged_sets_have_ids_of_their_own_and_can_be_read_back(tmp_path: Path) -> None:
    sources = (_rpc(tmp_path), _coco2017(tmp_path), _logodet(tmp_path))
    document, counts = _convert(tmp_path, *sources)
    assert [image["id"] for image in document["images"]] == list(range(1, 9))
    assert [annotation["id"] for annotation in document["annotations"]] == list(range(1, 12))
    assert [image["source"] for image in document["images"]] == ["rpc"] * 4 + ["coco"] * 2 + ["logos"] * 2
    assert sum(each.written for each in counts.values()) == 8
    pictures = read_coco(tmp_path / "out/train.json", tmp_path / "out")
    assert all(picture.path.is_file() for picture in pictures)
    np.testing.assert_array_equal(pictures[4].boxes, [[10.5, 20.25, 40.5, 60.75]])


def test_a_choice_depends_on_the_seed_and_on_no_other_set(tmp_path: Path) -> None:
    def chosen(seed: int, *others: SourceConfig) -> list[str]:
        few = SourceConfig("rpc", "rpc", rpc.images, rpc.annotations, pictures=2)
        document, _ = _convert(tmp_path, *others, few, seed=seed)
        return [image["file_name"] for image in document["images"] if image["source"] == "rpc"]

    rpc, logos = _rpc(tmp_path), _logodet(tmp_path)
    assert chosen(1) == chosen(1) == chosen(1, logos) == sorted(chosen(1)) and len(chosen(1)) == 2
    assert len({tuple(chosen(seed)) for seed in range(8)}) > 1


def test_pictures_that_cannot_be_used_do_not_count_as_chosen(tmp_path: Path) -> None:
    source = _coco2017(tmp_path)
    for seed in range(4):
        few = SourceConfig("coco", "coco2017", source.images, source.annotations, pictures=2)
        assert _convert(tmp_path, few, seed=seed)[1]["coco"].written == 2


def test_pictures_are_copied_when_asked(tmp_path: Path) -> None:
    document, _ = _convert(tmp_path, _logodet(tmp_path), copy_pictures=True)
    names = [image["file_name"] for image in document["images"]]
    assert names == ["images/logos/Clothes/Abibas/1.jpg", "images/logos/Food/7-Up/1.jpg"]
    assert all((tmp_path / "out" / name).is_file() for name in names)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["images", "train.json"]


def test_pictures_without_a_box_to_find_are_kept_only_when_asked(tmp_path: Path) -> None:
    _picture(tmp_path / "images/a.jpg")
    document = {"images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}], "annotations": []}
    source = SourceConfig("coco", "coco2017", tmp_path / "images", _json(tmp_path / "a.json", document))
    assert _convert(tmp_path, source)[0]["images"] == []
    assert len(_convert(tmp_path, source, keep_empty=True)[0]["images"]) == 1


def test_a_failure_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    before, _ = _convert(tmp_path, _logodet(tmp_path))
    broken = SourceConfig("coco", "coco2017", tmp_path, _json(tmp_path / "bad.json", {"images": []}))
    with pytest.raises(ValueError, match=r"bad\.json: `annotations` must be a list"):
        _convert(tmp_path, _logodet(tmp_path), broken)
    assert json.loads((tmp_path / "out/train.json").read_text()) == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train.json"]


def test_no_picture_at_all_is_an_error_that_says_where_it_was_looked_for(tmp_path: Path) -> None:
    source = _rpc(tmp_path)
    (tmp_path / "empty").mkdir()
    lost = SourceConfig("rpc", "rpc", tmp_path / "empty", source.annotations)
    with pytest.raises(FileNotFoundError, match=r"source rpc: none of its 4 pictures is under .*empty"):
        _convert(tmp_path, lost)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: []", "sources: name at least one set"),
        ("sources: [{name: a, format: rpc, images: .}]", r"sources\.0\.annotations: rpc has an annotation file"),
        ("sources: [{name: a/b, format: logodet3k, images: .}]", r"sources\.0\.name: 'a/b' is no name"),
        ("sources: [{name: a, format: voc, images: .}]", r"sources\.0\.format: "),
        ("sources: [{name: a, format: logodet3k, images: ., pictures: 0}]", r"sources\.0\.pictures: 0 must be at"),
        ("sources: [{name: a, format: logodet3k, images: nowhere}]", r"sources\.0\.images: nowhere is no folder"),
    ],
)
def test_a_wrong_configuration_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "convert.yaml"
    file.write_text(f"output: {tmp_path / 'out.json'}\n{text}\n")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        convert(read_configuration(ConvertConfig, file), _quiet)


_SIDE = st.floats(-200, 300) | st.sampled_from([float("nan"), float("inf"), -float("inf")])


@given(st.lists(st.builds(SourceBox, _SIDE, _SIDE, _SIDE, _SIDE, st.booleans()), max_size=8))
def test_what_is_kept_lies_inside_and_nothing_is_lost_uncounted(boxes: list[SourceBox]) -> None:
    clean = clean_boxes(boxes, 100, 80, 1.0)
    assert len(clean.boxes) + clean.degenerate == len(boxes)
    assert clean.clipped <= len(clean.boxes)
    for box in clean.boxes:
        assert box.x1 >= 0 and box.x2 <= 100 and box.x2 - box.x1 >= 1
        assert box.y1 >= 0 and box.y2 <= 80 and box.y2 - box.y1 >= 1
