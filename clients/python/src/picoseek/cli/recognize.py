"""`picoseek recognize`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from picoseek.async_client import AsyncClient
from picoseek.async_recognizer import AsyncRecognizer, RecognizerConfig
from picoseek.cli.connection_options import connection_options
from picoseek.cli.json_option import json_option
from picoseek.cli.output import answers, notes, print_json
from picoseek.cli.recognizer_options import recognizer_options
from picoseek.connection import ConnectionConfig
from picoseek.drawing import draw_recognition
from picoseek.errors import InvalidArgumentError
from picoseek.picture import read_picture_file
from picoseek.picture_file import decode_picture, write_picture
from picoseek.recognition import Recognition, RecognizedObject
from picoseek.recognition_json import recognition_json
from picoseek.verdict import Explanation, Verdict, VerdictKind

_READABLE_SIDE = 480


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--gallery", "name", required=True, help="Gallery of the known things.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the annotated pictures.")
@json_option
@recognizer_options
@connection_options
def recognize(
    config: ConnectionConfig,
    pictures: tuple[Path, ...],
    name: str,
    out: Path | None,
    as_json: bool,
    recognizer: RecognizerConfig,
) -> None:
    """Say what is in each PICTURE, by a gallery of known things.

    What is not close enough to anything in the gallery is answered as unknown. A picture that cannot be used is
    reported, and the exit status is then 1.
    """
    failed = asyncio.run(_recognize_all(config, pictures, name, out, as_json, recognizer))
    if failed:
        sys.exit(1)


async def _recognize_all(
    config: ConnectionConfig,
    pictures: Sequence[Path],
    name: str,
    out: Path | None,
    as_json: bool,
    options: RecognizerConfig,
) -> int:
    """Recognise pictures one after the other and return how many could not be used."""
    entries: list[dict[str, object]] = []
    failed = 0
    targets = _targets(pictures, out)
    async with AsyncClient(config) as client:
        recognizer = AsyncRecognizer(name, client, options)
        threshold = await recognizer.threshold()
        for path in pictures:
            try:
                data = read_picture_file(path)
                answer = await recognizer.recognize(data)
            except InvalidArgumentError as error:
                failed += 1
                notes().print(f"skipped {path}: {error.message.removeprefix(f'{path} ')}", style="yellow")
                entries.append({"picture": str(path), "error": error.message, "reason": error.reason})
                continue
            entry: dict[str, object] = {"picture": str(path), **recognition_json(answer)}
            if target := targets.get(path):
                write_picture(target, draw_recognition(decode_picture(data), answer, min_side=_READABLE_SIDE))
                entry["annotated"] = str(target)
            entries.append(entry)
            if not as_json:
                _show(path, answer, targets.get(path))
    if as_json:
        print_json({"gallery": name, "threshold": threshold, "pictures": entries})
    return failed


def _targets(pictures: Sequence[Path], out: Path | None) -> dict[Path, Path]:
    """Return where each annotated picture goes; pictures of one name get numbers."""
    targets: dict[Path, Path] = {}
    if out is None:
        return targets
    out.mkdir(parents=True, exist_ok=True)
    used: set[str] = set()
    for path in pictures:
        stem, number = path.stem, 1
        while stem in used:
            number += 1
            stem = f"{path.stem}-{number}"
        used.add(stem)
        targets[path] = out / f"{stem}.jpg"
    return targets


def _show(path: Path, answer: Recognition, target: Path | None) -> None:
    console = answers()
    console.print(str(path), style="bold")
    for found in answer.objects:
        box = " ".join(f"{value:.0f}" for value in found.box.as_list())
        score = "" if found.score is None else f"{found.score:.3f}"
        style = "green" if found.known else "dim"
        console.print(
            f"  {found.label or 'unknown':<24} {score:>6}   {found.source.value} {box}{_others(found)}", style=style
        )
        if found.verdict is not None:
            console.print(f"    {_verdict(found.verdict)}", style="dim")
        if found.explanation is not None:
            for line in _reasons(found.explanation):
                console.print(f"    {line}", style="dim")
    if not answer.objects:
        console.print("  nothing found", style="dim")
    if target is not None:
        console.print(f"  -> {target}", style="dim")


def _others(found: RecognizedObject) -> str:
    """Return the nearest item, if it is not the answer (its score is), and the one after it."""
    nearest = "" if found.known or not found.candidates else f"   nearest: {found.candidates[0].label}"
    return nearest + (f"   next: {found.runner_up.label} {found.runner_up.score:.3f}" if found.runner_up else "")


def _verdict(verdict: Verdict) -> str:
    """Return what the search service says of the nearest item."""
    if verdict.kind is VerdictKind.UNCALIBRATED:
        return "verdict uncalibrated: the gallery is too small, or was written moments ago"
    return (
        f"verdict {verdict.kind.value}, probability {verdict.probability:.3f}, "
        f"threshold {verdict.threshold:.3f}, margin {verdict.margin:.3f}"
    )


def _reasons(explanation: Explanation) -> list[str]:
    """Return lines that say why a nearest item is the nearest."""
    if not explanation.id:
        return ["the gallery has nothing to compare with"]
    provenance = explanation.provenance
    crop = " ".join(f"{value:.0f}" for value in provenance.crop_box.as_list()) if provenance.crop_box else "whole"
    added = provenance.added_at.isoformat(timespec="seconds") if provenance.added_at else "?"
    runner_up = (
        f"runner-up {explanation.runner_up_item} by {explanation.runner_up_id}, {explanation.runner_up_score:.3f}"
        if explanation.runner_up_id
        else "no other item"
    )
    compared = sum(segment.documents for segment in explanation.segments)
    way = "all were compared" if explanation.exact else "searched by the index, so something closer may be missed"
    return [
        f"reference {explanation.id} of {explanation.item}: {provenance.source or 'no source'} ({crop})",
        f"added {added} by request {provenance.request_id}",
        runner_up,
        f"{compared} references in {len(explanation.segments)} segments, {way}",
    ]
