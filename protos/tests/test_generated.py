"""The committed Python is what the contract generates."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / ".venv-proto" / "bin"
COMMITTED = ROOT / "protos" / "src" / "picoseek_protos"


def _modules(package: Path) -> dict[str, str]:
    return {
        str(path.relative_to(package)): path.read_text()
        for path in sorted(package.rglob("*.py*"))
        if "_pb2" in path.name and path.suffix in (".py", ".pyi")
    }


@pytest.mark.slow
def test_the_committed_modules_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run(["make", ".venv-proto/.done"], cwd=ROOT, check=True, capture_output=True)
    environment = {**os.environ, "PATH": f"{GENERATOR}:{os.environ['PATH']}"}
    subprocess.run(
        [GENERATOR / "python", ROOT / "protos" / "generate.py", "--into", tmp_path],
        check=True,
        capture_output=True,
        env=environment,
    )
    fresh, committed = _modules(tmp_path), _modules(COMMITTED)
    assert fresh.keys() == committed.keys(), "run `make proto`"
    stale = [name for name in fresh if fresh[name] != committed[name]]
    assert not stale, f"run `make proto`: {', '.join(stale)}"


def test_services_have_the_methods_of_the_contract() -> None:
    from picoseek_protos.v1 import collection_service_pb2, detect_embed_service_pb2, search_service_pb2

    methods = {
        service.full_name: sorted(method.name for method in service.methods)
        for module in (collection_service_pb2, detect_embed_service_pb2, search_service_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
    }
    assert methods == {
        "picoseek.v1.CollectionService": sorted(
            [
                *("CreateCollection", "GetCollection", "ListCollections", "UpdateCollection", "DeleteCollection"),
                *("SetAlias", "DeleteAlias", "ListAliases"),
                *(
                    "CreateSnapshot",
                    "GetSnapshot",
                    "ListSnapshots",
                    "VerifySnapshot",
                    "RestoreSnapshot",
                    "DeleteSnapshot",
                ),
                *("GetOperation", "ListOperations", "WaitOperation", "CancelOperation"),
            ]
        ),
        "picoseek.v1.DetectEmbedService": ["DetectEmbed", "Embed", "GetModel", "ListModels", "StreamDetectEmbed"],
        "picoseek.v1.SearchService": sorted(
            ["Upsert", "Delete", "Get", "List", "Count", "Search", "StreamSearch", "GetSearchQuality"]
        ),
    }


def test_vectors_never_travel_as_repeated_floats() -> None:
    from google.protobuf.descriptor import FieldDescriptor
    from picoseek_protos.log.v1 import record_pb2
    from picoseek_protos.v1 import collection_pb2, detect_embed_pb2, document_pb2, search_pb2

    for module in (record_pb2, collection_pb2, detect_embed_pb2, document_pb2, search_pb2):
        for message in module.DESCRIPTOR.message_types_by_name.values():
            for field in message.fields:
                assert not (field.is_repeated and field.type == FieldDescriptor.TYPE_FLOAT), field.full_name
