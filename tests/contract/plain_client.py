"""A client as a stranger would write it: plain grpcio, code generated from the `.proto` files alone.

Run with the environment of the generator, which has none of our packages:
    python plain_client.py FOLDER_OF_PROTOS DETECT_EMBED_ADDRESS SEARCH_ADDRESS PICTURE
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import grpc
from grpc_tools import protoc


def _generate(protos: Path, target: str) -> None:
    files = [
        str(path.relative_to(protos))
        for folder in ("picoseek/v1", "google")
        for path in (protos / folder).rglob("*.proto")
    ]
    includes = [f"--proto_path={protos}", f"--proto_path={resources.files('grpc_tools') / '_proto'}"]
    if protoc.main(["protoc", *includes, f"--python_out={target}", f"--grpc_python_out={target}", *files]) != 0:
        raise SystemExit("protoc refused the contract")


def _stub(name: str, channel: grpc.Channel) -> Any:
    module = importlib.import_module(f"picoseek.v1.{name}_service_pb2_grpc")
    return getattr(module, "".join(word.capitalize() for word in name.split("_")) + "ServiceStub")(channel)


def main(protos: Path, detect_embed_address: str, search_address: str, picture: Path) -> None:
    """Embed a picture, write it to a new collection, find it again, and print what came back."""
    with tempfile.TemporaryDirectory() as target:
        _generate(protos, target)
        # google is a namespace package: google.rpc comes from here, google.protobuf from the runtime.
        sys.path.insert(0, target)
        pictures = importlib.import_module("picoseek.v1.detect_embed_pb2")
        searching = importlib.import_module("picoseek.v1.search_pb2")
        collections = importlib.import_module("picoseek.v1.collection_pb2")
        with grpc.insecure_channel(detect_embed_address) as seeing, grpc.insecure_channel(search_address) as finding:
            request = pictures.EmbedRequest()
            request.pictures.add().picture.encoded = picture.read_bytes()
            embedding = _stub("detect_embed", seeing).Embed(request, timeout=120).results[0].embedding

            create = collections.CreateCollectionRequest()
            create.collection.name = "plain"
            create.collection.space.digest = embedding.space
            create.collection.space.dimension = embedding.dimension
            create.collection.metric = 2
            _stub("collection", finding).CreateCollection(create, timeout=120)

            upsert = searching.UpsertRequest(collection="plain", space=embedding.space)
            upsert.documents.add(id="one", item="thing", vector=embedding.vector, labels=["Thing"])
            written = _stub("search", finding).Upsert(upsert, timeout=120)

            search = searching.SearchRequest(
                collection="plain", vectors=embedding.vector, queries=1, space=embedding.space, k=3
            )
            search.min_revision.CopyFrom(written.revision)
            found = _stub("search", finding).Search(search, timeout=120)
            print(json.dumps({"ids": list(found.ids), "items": list(found.items), "dimension": embedding.dimension}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
