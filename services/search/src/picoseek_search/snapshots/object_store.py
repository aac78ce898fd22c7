"""Objects by path: in a folder, or in object storage."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions
from obstore.store import LocalStore, from_url
from picoseek_chassis import errors

_SCHEMES = ("s3", "gs", "az", "abfss")
_RETRY_TIMEOUT = timedelta(seconds=30)
_RETRY_AFTER_S = 5.0
_PART_BYTES = 8 << 20
_PARTS_AT_A_TIME = 4
_NO_ROOM = ("no space left on device", "quota exceeded")
_LIST_CHUNK = 1000


class ObjectMissingError(Exception):
    """There is no object at a path."""


class ObjectExistsError(Exception):
    """There is an object at a path already."""


@dataclass(frozen=True)
class ObjectInfo:
    """What a listing tells of an object."""

    path: str
    """Where it is."""
    size: int
    """Bytes."""
    modified_at: datetime
    """When it was written, by the clock of the store."""


class ObjectStore:
    """Whole objects, each written atomically. Methods block and may be called from any thread.

    Every method raises ServiceError for what an operator must cure: SNAPSHOT_STORE_UNAVAILABLE, SNAPSHOT_STORE_REFUSED,
    DISK_FULL.
    """

    def __init__(self, location: str) -> None:
        """Use a location; nothing is written yet.

        Args:
            location: a folder, or the address of a bucket and a prefix in it: s3://bucket/prefix, gs://..., az://....
                Credentials and endpoint come from the environment, as the store's own tools read them.

        Raises:
            ValueError: it is neither.
        """
        self._location = location
        scheme = urlsplit(location).scheme if "://" in location else ""
        self._folder: Path | None = None
        if scheme in ("", "file"):
            folder = Path(unquote(urlsplit(location).path)) if scheme else Path(location)
            self._folder = folder.absolute()
            return
        if scheme not in _SCHEMES:
            raise ValueError(f"{location} is neither a folder nor an address that begins with {', '.join(_SCHEMES)}")
        try:
            self._store = from_url(location, retry_config={"retry_timeout": _RETRY_TIMEOUT})
        except (exceptions.BaseError, ValueError) as error:
            raise ValueError(f"{location} cannot be used: {error}") from error

    @property
    def location(self) -> str:
        """Where it is."""
        return self._location

    @property
    def compares_content(self) -> bool:
        """Whether the store notices by itself that what it keeps has changed, as object storage does."""
        return self._folder is None

    def put(self, path: str, content: bytes) -> None:
        """Write an object; one that is there is replaced."""
        with self._translated(path):
            obstore.put(self._opened(), path, content, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_A_TIME)
            self._sync(path)

    def put_blocks(self, path: str, blocks: Iterable[bytes]) -> None:
        """Write an object block after block; if the iterable raises, there is no object, and its exception passes."""
        raised: list[BaseException] = []

        def watched() -> Iterator[bytes]:
            try:
                yield from blocks
            except BaseException as error:
                raised.append(error)
                raise

        with self._translated(path):
            try:
                obstore.put(self._opened(), path, watched(), chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_A_TIME)
            except Exception:
                if raised:
                    raise raised[0] from None
                raise
            self._sync(path)

    def put_new(self, path: str, content: bytes) -> None:
        """Write an object where none is.

        Raises:
            ObjectExistsError: there is one already.
        """
        with self._translated(path):
            obstore.put(self._opened(), path, content, mode="create", use_multipart=False)
            self._sync(path)

    def read(self, path: str) -> bytes:
        """Return an object.

        Raises:
            ObjectMissingError: there is none.
        """
        return b"".join(self.blocks(path))

    def blocks(self, path: str) -> Iterator[bytes]:
        """Yield an object block after block.

        Raises:
            ObjectMissingError: there is none.
        """
        with self._translated(path):
            for block in obstore.get(self._opened(), path).stream(_PART_BYTES):
                yield bytes(block)

    def size(self, path: str) -> int | None:
        """Return the bytes of an object, or None if there is none."""
        try:
            with self._translated(path):
                return int(obstore.head(self._opened(), path)["size"])
        except ObjectMissingError:
            return None

    def below(self, prefix: str) -> list[ObjectInfo]:
        """Return all objects below a prefix, by path."""
        found: list[ObjectInfo] = []
        with self._translated(prefix):
            for chunk in obstore.list(self._opened(), prefix or None, chunk_size=_LIST_CHUNK):
                found += [ObjectInfo(meta["path"], int(meta["size"]), meta["last_modified"]) for meta in chunk]
        return sorted(found, key=lambda info: info.path)

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the names of the folders right below a prefix, in order."""
        with self._translated(prefix):
            listed = obstore.list_with_delimiter(self._opened(), prefix or None)
        return sorted(path.rstrip("/").rpartition("/")[2] for path in listed["common_prefixes"])

    def delete(self, paths: Sequence[str]) -> None:
        """Remove objects, whether they are there or not."""
        for path in paths:
            try:
                with self._translated(path):
                    obstore.delete(self._opened(), path)
            except ObjectMissingError:
                continue

    def _opened(self) -> obstore.store.ObjectStore:
        if self._folder is not None and not hasattr(self, "_store"):
            self._store = LocalStore(self._folder, mkdir=True, automatic_cleanup=True)
        return self._store

    def _sync(self, path: str) -> None:
        # Object storage keeps what it has acknowledged; a file system must be asked to.
        if self._folder is None:
            return
        file = self._folder / path
        for target in (file, *list(file.parents)[: path.count("/") + 1]):
            descriptor = os.open(target, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    @contextmanager
    def _translated(self, path: str) -> Generator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissingError(path) from error
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
            raise ObjectExistsError(path) from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError) as error:
            raise errors.failed_precondition(
                "SNAPSHOT_STORE_REFUSED",
                f"{self._location} does not let the service in: give it the rights to read, write, list and delete "
                f"({error})",
                location=self._location,
            ) from error
        except (exceptions.BaseError, OSError) as error:
            if any(sign in str(error).lower() for sign in _NO_ROOM):
                raise errors.resource_exhausted(
                    "DISK_FULL",
                    f"there is no room in {self._location}; make room and ask again",
                    retry_after_s=_RETRY_AFTER_S,
                ) from error
            raise errors.unavailable(
                "SNAPSHOT_STORE_UNAVAILABLE",
                f"{self._location} cannot be reached or fails: {error}",
                retry_after_s=_RETRY_AFTER_S,
            ) from error
