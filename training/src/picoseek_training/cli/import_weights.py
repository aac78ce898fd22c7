"""`picoseek-train import`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from picoseek_training.cli.options import json_option

network_option = click.option(
    "--network", help="Name of the network, such as picodet_s (default: recognised by names and shapes)."
)


@click.group("import")
def import_weights() -> None:
    """Take over official weights of PaddleClas and PaddleDetection."""


@import_weights.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Checkpoint to write, a .ckpt file."
)
@network_option
@click.option(
    "--pictures",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of real pictures: gives statistics to the BatchNorm layers that a file has folded.",
)
@json_option
def weights(source: Path, out: Path, network: str | None, pictures: Path | None, as_json: bool) -> None:
    """Make a checkpoint of a .pdparams file, an ONNX file, or a folder with an inference model.

    Nothing in SOURCE is run. Recipes start from the checkpoint (`start: FILE`), and `picoseek-train export imported`
    writes it in other formats.
    """
    from picoseek_training.weight_import.importing import import_weights as run
    from picoseek_training.weight_import.pictures import picture_batches

    imported = run(source, network, None if pictures is None else picture_batches(pictures))
    imported.checkpoint.save(out)
    found = imported.checkpoint
    if as_json:
        report = {"checkpoint": str(out), "network": found.network, "settings": dict(found.settings)}
        counts = {"tensors": len(found.state), "folded": imported.folded, "looks": imported.looks}
        click.echo(json.dumps({**report, "side": found.side, **counts}))
        return
    settings = "".join(f", {key} {value}" for key, value in found.settings.items())
    side = "" if found.side is None else f", {found.side} px"
    click.echo(f"{out}: {found.network}{settings}{side}, {len(found.state)} tensors")
    if imported.looks > 1:
        click.echo(
            f"the file looks at its picture in {imported.looks} sizes and the network in the checkpoint in one: the "
            "weights are the same, the answers are not; `picoseek-train import bundle` keeps the file as it is",
            err=True,
        )
    if imported.folded and pictures is None:
        click.echo(
            f"the file has folded {imported.folded} BatchNorm layers: it answers as before, but to train from it, "
            "import it with --pictures",
            err=True,
        )


@import_weights.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the bundle.")
@click.option("--name", required=True, help="Name of the model in requests: small letters, digits, `.`, `_`, `-`.")
@click.option("--version", default="1", show_default=True, help="Version of the weights.")
@click.option("--license", "licence", default="Apache-2.0", show_default=True, help="SPDX expression.")
@network_option
def bundle(folder: Path, out: Path, name: str, version: str, licence: str, network: str | None) -> None:
    """Make a bundle of an official inference folder; its files stay as they are.

    Knows the old format (.pdmodel) and the new one (.json), each with its .pdiparams.
    """
    from picoseek_training.weight_import.drop_in import bundle_of_folder

    written = bundle_of_folder(folder, out, network, name=name, version=version, license=licence)
    click.echo(f"{written.folder}: {written.manifest.network}")
    click.echo(f"`picoseek serve --bundle {written.folder}` serves it", err=True)
