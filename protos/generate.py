"""Generate `picoseek_protos` from the `.proto` files.

Runs in an environment of its own (`make proto`) whose grpcio-tools is old on purpose: generated code demands at least
the protobuf and grpcio of its generator from every user.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "src" / "picoseek_protos"
_IMPORT = re.compile(r"^(from|import) picoseek\.", re.MULTILINE)
_QUALIFIED = re.compile(r"(?<![\w./\"'])picoseek\.((?:log\.)?v1\.\w+_pb2)")


def generate(package: Path) -> None:
    """Write the generated modules of every contract file below `package`.

    The wire names stay `picoseek.*`; only the Python modules move to `picoseek_protos`, because the SDK owns the
    name `picoseek`.

    Raises:
        RuntimeError: the compiler refused a file.
    """
    contract = sorted((HERE / "picoseek").rglob("*.proto"))
    sources = [str(path.relative_to(HERE)) for path in contract]
    with_services = tuple(path.stem for path in contract if path.stem.endswith("_service"))
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [
            "protoc",
            f"--proto_path={HERE}",
            f"--proto_path={resources.files('grpc_tools') / '_proto'}",
            f"--python_out={scratch}",
            f"--grpc_python_out={scratch}",
            f"--mypy_out=quiet:{scratch}",
            f"--mypy_grpc_out=quiet:{scratch}",
            *sources,
        ]
        if protoc.main(arguments) != 0:
            raise RuntimeError("protoc refused the contract; its message stands above")
        for folder in ("v1", "log"):
            shutil.rmtree(package / folder, ignore_errors=True)
        for source in sorted((Path(scratch) / "picoseek").rglob("*.py*")):
            text = source.read_text()
            if "_pb2_grpc." in source.name and not source.name.startswith(with_services):
                continue
            text = _IMPORT.sub(r"\1 picoseek_protos.", text)
            text = _QUALIFIED.sub(r"picoseek_protos.\1", text)
            if source.suffix == ".pyi":
                # A field named "collections" hides the module of that name in its message's scope.
                text = text.replace("import collections.abc\n", "import collections.abc as collections_abc\n")
                text = text.replace("collections.abc.", "collections_abc.")
            target = package / source.relative_to(Path(scratch) / "picoseek")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    for folder in {path.parent for path in package.rglob("*_pb2.py")} | {package, package / "log"}:
        init = folder / "__init__.py"
        if not init.exists():
            init.write_text("")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=PACKAGE, help="folder to write (default: the committed package)")
    try:
        generate(parser.parse_args().into)
    except RuntimeError as error:
        sys.exit(str(error))
