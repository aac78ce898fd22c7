"""Places for snapshots: a folder, and a bucket of a real S3 server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
import waiting
from obstore.store import LocalStore, S3Store

WITHIN_S = 60.0
_KEY, _SECRET, _BUCKET = "picoseek", "picoseek-secret", "snapshots"


@dataclass(frozen=True)
class Place:
    """Where a service may keep snapshots, and what looks into it from outside."""

    location: str
    environment: dict[str, str]
    store: Any

    def objects(self, part: str = "") -> dict[str, int]:
        """Sizes of the objects whose path holds `part`, by path."""
        listed = [meta for chunk in obstore.list(self.store) for meta in chunk]
        return {meta["path"]: meta["size"] for meta in listed if part in meta["path"]}

    def read(self, path: str) -> bytes:
        return bytes(obstore.get(self.store, path).bytes())

    def write(self, path: str, content: bytes) -> None:
        obstore.put(self.store, path, content)

    def delete(self, path: str) -> None:
        obstore.delete(self.store, path)


def folder(path: Path) -> Place:
    return Place(str(path), {}, LocalStore(path, mkdir=True))


@contextmanager
def s3_server(root: Path) -> Iterator[str]:
    """Start SeaweedFS with one bucket; yields its endpoint."""
    root.mkdir(parents=True, exist_ok=True)
    config = root / "s3.json"
    identity = {
        "name": _KEY,
        "credentials": [{"accessKey": _KEY, "secretKey": _SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config.write_text(json.dumps({"identities": [identity]}))
    # It listens on each port + 10000, too, which is no free_port().
    ports = {name: waiting.free_port() for name in ("master", "volume", "filer", "s3")}
    weed = shutil.which("weed", path=sysconfig.get_path("scripts"))
    command = [weed, "server", f"-dir={root}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += [f"-s3.config={config}", "-volume.max=20", "-master.volumeSizeLimitMB=64"]
    # These listen on ports of their own, where another one that runs meanwhile would be in the way.
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    try:
        store = _s3(endpoint, "")

        def is_ready() -> bool:
            assert process.poll() is None, (root / "log").read_text()[-2000:]
            try:
                # The filer keeps a bucket as a folder of this name; 409 says that it is there already.
                filer = f"http://127.0.0.1:{ports['filer']}/buckets/{_BUCKET}/"
                with suppress(urllib.error.HTTPError):
                    urllib.request.urlopen(urllib.request.Request(filer, method="POST"), timeout=5).close()
                obstore.put(store, "ready", b"ready")
                obstore.delete(store, "ready")
            except Exception:  # whatever it says before it is up
                return False
            return True

        waiting.until(is_ready, WITHIN_S, 0.2)
        yield endpoint
    finally:
        process.kill()
        process.wait(WITHIN_S)


def bucket(endpoint: str, prefix: str) -> Place:
    environment = {
        "AWS_ENDPOINT": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
    }
    return Place(f"s3://{_BUCKET}/{prefix}", environment, _s3(endpoint, prefix))


def _s3(endpoint: str, prefix: str) -> S3Store:
    return S3Store(
        _BUCKET,
        prefix=prefix or None,
        endpoint=endpoint,
        region="us-east-1",
        access_key_id=_KEY,
        secret_access_key=_SECRET,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
