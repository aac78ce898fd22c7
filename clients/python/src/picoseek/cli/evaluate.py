"""`picoseek eval`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from picoseek.async_client import AsyncClient
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.output import answers, notes, print_json, progress_bar
from picoseek.cli.stages import Stages
from picoseek.connection import ConnectionConfig
from picoseek.evaluation.coco_file import read_coco_file
from picoseek.evaluation.detection_run import DetectionReport, measure_detection
from picoseek.evaluation.retrieval_run import Regions, RetrievalReport, RetrievalRun
from picoseek.labelled_pictures import read_labelled_pictures


@click.group("eval")
def evaluate() -> None:
    """Measure through the running services what a user gets."""


@evaluate.command()
@click.option(
    "--gallery",
    "gallery_path",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Known pictures: a folder with a folder a class, or a CSV file `path,label`.",
)
@click.option(
    "--query",
    "query_path",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Pictures to look up, in the same form.",
)
@click.option(
    "--regions",
    type=click.Choice([choice.value for choice in Regions]),
    default=Regions.WHOLE.value,
    show_default=True,
    help="Look up whole query pictures, or what the detector finds in them.",
)
@click.option("--embedder", default="", help="Embedder by name (default: the service's).")
@json_option
@connection_options
def retrieval(
    config: ConnectionConfig, gallery_path: Path, query_path: Path, regions: str, embedder: str, as_json: bool
) -> None:
    """Recall@1, Recall@5 and mean average precision of finding a query's class in a gallery.

    A query of a class that the gallery does not have does not count, and no query finds its own file.
    """
    gallery, queries = read_labelled_pictures(gallery_path), read_labelled_pictures(query_path)

    async def run() -> RetrievalReport:
        with progress_bar() as bar:
            async with AsyncClient(config) as client:
                measuring = RetrievalRun(client, regions=Regions(regions), embedder=embedder, report=Stages(bar).report)
                return await measuring.run(gallery, queries)

    report = asyncio.run(run())
    _warn(report.unusable)
    scores = report.scores
    figures: dict[str, float | int | str] = {
        "recall_at_1": scores.recall[1],
        "recall_at_5": scores.recall[5],
        "map": scores.mean_average_precision,
        "pictures": report.gallery_pictures + report.query_pictures,
        "gallery_pictures": report.gallery_pictures,
        "query_pictures": report.query_pictures,
        "queries_with_match": scores.queries,
        "unusable": len(report.unusable),
        "regions": regions,
        "embedder": report.embedder,
        "seconds": report.seconds,
    }
    _print(figures, as_json)


@evaluate.command()
@click.option(
    "--images",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the pictures.",
)
@click.option(
    "--coco",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="COCO file with their boxes; categories make no difference.",
)
@click.option("--detector", default="", help="Detector by name (default: the service's).")
@json_option
@connection_options
def detection(config: ConnectionConfig, images: Path, coco: Path, detector: str, as_json: bool) -> None:
    """COCO average precision and recall of the boxes, whatever their class."""
    annotated = read_coco_file(coco)

    async def run() -> DetectionReport:
        with progress_bar() as bar:
            stages = Stages(bar)
            async with AsyncClient(config) as client:
                return await measure_detection(
                    client,
                    images,
                    annotated,
                    detector=detector,
                    report=lambda done, total: stages.report("detecting", done, total),
                )

    report = asyncio.run(run())
    _warn(report.unusable)
    scores = report.scores
    figures: dict[str, float | int | str] = {
        "ap": scores.average_precision,
        "ap50": scores.average_precision_50,
        "ar": scores.average_recall,
        "best_box_iou50": scores.best_box_iou50,
        "pictures": report.pictures,
        "unusable": len(report.unusable),
        "seconds": report.seconds,
    }
    _print(figures, as_json)


def _warn(unusable: Iterable[tuple[str, str]]) -> None:
    for path, why in unusable:
        notes().print(f"left out {path}: {why}", style="yellow")


def _print(figures: dict[str, float | int | str], as_json: bool) -> None:
    if as_json:
        print_json(dict(figures))
        return
    write: Callable[[str], None] = answers().print
    for name, value in figures.items():
        write(f"{name:<20} {value:.4f}" if isinstance(value, float) else f"{name:<20} {value}")
