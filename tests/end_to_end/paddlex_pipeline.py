"""Runs PaddleX's PP-ShiTuV2 pipeline on two bundles, in PaddleX's own environment, and writes what it finds.

Arguments: detector, embedder, gallery (pictures and `gallery.txt`), pictures, JSON file to write.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from paddlex import create_pipeline


def main(detector: str, embedder: str, gallery: str, pictures: str, target: str) -> None:
    """Find in every picture of a folder the boxes, and each box's nearest pictures of the gallery."""
    config: dict[str, Any] = {
        "pipeline_name": "PP-ShiTuV2",
        "index": None,
        "det_threshold": 0.2,
        "rec_threshold": -1.0,
        "rec_topk": 3,
        "SubModules": {
            "Detection": {
                "module_name": "object_detection",
                "model_name": "PP-ShiTuV2_det",
                "model_dir": detector,
                "batch_size": 1,
            },
            "Recognition": {
                "module_name": "image_feature",
                "model_name": "PP-ShiTuV2_rec",
                "model_dir": embedder,
                "batch_size": 1,
            },
        },
    }
    pipeline = create_pipeline(config=config, device="cpu")
    index = pipeline.build_index(
        gallery_imgs=gallery, gallery_label=f"{gallery}/gallery.txt", metric_type="IP", index_type="Flat"
    )
    found = {
        path.name: [
            {
                "box": [float(value) for value in each["coordinate"]],
                "score": float(each["det_score"]),
                "labels": [str(label) for label in each["labels"]],
                "similarities": [float(score) for score in each["rec_scores"]],
            }
            for result in pipeline.predict(str(path), index=index)
            for each in result["boxes"]
        ]
        for path in sorted(Path(pictures).iterdir())
    }
    Path(target).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
