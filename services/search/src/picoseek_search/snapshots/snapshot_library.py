"""The snapshots in a store, by collection and name."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from picoseek_chassis import errors
from picoseek_chassis.errors import ServiceError

from picoseek_search.collection.specification import is_name
from picoseek_search.operations.progress import Progress
from picoseek_search.snapshots.blob_store import BlobStore, damaged
from picoseek_search.snapshots.manifest import Manifest, ManifestError, decode, encode
from picoseek_search.snapshots.object_store import ObjectExistsError, ObjectMissingError, ObjectStore
from picoseek_search.snapshots.store_marks import StoreMarks

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedSnapshot:
    """A snapshot that exists."""

    collection: str
    """Name of its collection."""
    name: str
    """Its name."""
    manifest: Manifest | None
    """What it is made of; None: that cannot be read."""
    digest: str = ""
    """Of its manifest."""
    damage: str = ""
    """Why the manifest cannot be read."""


class SnapshotLibrary:
    """Snapshots lie at COLLECTION/manifests/NAME and COLLECTION/blobs/. One exists as soon as its manifest does."""

    def __init__(self, store: ObjectStore) -> None:
        """Use a store, which may be shared with other services."""
        self._store = store

    @property
    def location(self) -> str:
        """Where the store is."""
        return self._store.location

    def blobs(self, collection: str) -> BlobStore:
        """Return the blobs of a collection's snapshots."""
        return BlobStore(self._store, collection)

    def marks(self, collection: str) -> StoreMarks:
        """Return the marks of those who write and remove a collection's blobs."""
        return StoreMarks(self._store, collection)

    def collections(self) -> list[str]:
        """Return the names of collections that may have snapshots."""
        return [name for name in self._store.folders("") if is_name(name)]

    def of(self, collection: str) -> list[ListedSnapshot]:
        """Return a collection's snapshots, by name; unreadable ones included."""
        return [found for name in self._names(collection) if (found := self._listed(collection, name)) is not None]

    def get(self, collection: str, name: str) -> tuple[Manifest, str]:
        """Return a snapshot's manifest and its digest.

        Raises:
            ServiceError: SNAPSHOT_INVALID, SNAPSHOT_NOT_FOUND, SNAPSHOT_DAMAGED.
        """
        check_name("collection", collection)
        check_name("snapshot", name)
        listed = self._listed(collection, name)
        if listed is None:
            raise snapshot_not_found(collection, name)
        if listed.manifest is None:
            path = _manifest_path(collection, name)
            raise damaged(f"its manifest {path} cannot be read, {listed.damage}", path)
        return listed.manifest, listed.digest

    def exists(self, collection: str, name: str) -> bool:
        """Whether there is a snapshot."""
        return self._store.size(_manifest_path(collection, name)) is not None

    def add(self, manifest: Manifest) -> None:
        """Make a snapshot exist, all of whose blobs are there.

        Raises:
            ServiceError: SNAPSHOT_EXISTS.
        """
        try:
            self._store.put_new(_manifest_path(manifest.collection, manifest.name), encode(manifest))
        except ObjectExistsError as error:
            raise snapshot_exists(manifest.collection, manifest.name) from error

    def remove(self, collection: str, name: str) -> None:
        """Make a snapshot not exist; its blobs stay until collect().

        Raises:
            ServiceError: SNAPSHOT_INVALID, SNAPSHOT_NOT_FOUND.
        """
        check_name("collection", collection)
        check_name("snapshot", name)
        if not self.exists(collection, name):
            raise snapshot_not_found(collection, name)
        self._store.delete([_manifest_path(collection, name)])

    def collect(self, collection: str, progress: Progress) -> None:
        """Remove the blobs that no snapshot of a collection needs.

        Nothing is removed while a snapshot is being made, or if a manifest cannot be read; a later call finds it.

        Args:
            collection: name of the collection.
            progress: told of the blobs that are to be removed and that are; may stop it.
        """
        with self.marks(collection).removing() as renew:
            if renew is None:
                _LOG.info("unneeded blobs of %s stay, since a snapshot is being made", collection)
                return
            needed: set[str] = set()
            for one in self.of(collection):
                if one.manifest is None:
                    _LOG.warning("unneeded blobs of %s stay, since snapshot %s cannot be read", collection, one.name)
                    return
                needed.update(one.manifest.blobs())
            unneeded = self.blobs(collection).unneeded(needed)
            progress.expect(len(unneeded))
            for path in unneeded:
                progress.check()
                renew()
                self._store.delete([path])
                progress.advance()

    def _names(self, collection: str) -> list[str]:
        names = [info.path.rpartition("/")[2] for info in self._store.below(f"{collection}/manifests")]
        return [name for name in names if is_name(name)]

    def _listed(self, collection: str, name: str) -> ListedSnapshot | None:
        try:
            manifest, digest = decode(self._store.read(_manifest_path(collection, name)))
        except ObjectMissingError:
            return None
        except ManifestError as error:
            return ListedSnapshot(collection, name, None, damage=str(error))
        if (manifest.collection, manifest.name) != (collection, name):
            return ListedSnapshot(collection, name, None, damage="it is the manifest of another snapshot")
        return ListedSnapshot(collection, name, manifest, digest)


def check_name(field: str, name: str) -> None:
    """Refuse what is no name, and so could be a path.

    Raises:
        ServiceError: SNAPSHOT_INVALID.
    """
    if not is_name(name):
        raise errors.invalid_argument(
            "SNAPSHOT_INVALID",
            f"{field}: it must be 1 to 64 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit",
            field=field,
        )


def snapshot_exists(collection: str, name: str) -> ServiceError:
    """Return the error for a name that is taken."""
    return errors.already_exists(
        "SNAPSHOT_EXISTS",
        f"there is a snapshot {name!r} of collection {collection!r} already; choose another name, or delete it first",
        collection=collection,
        snapshot=name,
    )


def snapshot_not_found(collection: str, name: str) -> ServiceError:
    """Return the error for a snapshot that does not exist."""
    return errors.not_found(
        "SNAPSHOT_NOT_FOUND",
        f"there is no snapshot {name!r} of collection {collection!r}; ListSnapshots (`picoseek snapshot list`) names "
        "those there are",
        collection=collection,
        snapshot=name,
    )


def _manifest_path(collection: str, name: str) -> str:
    return f"{collection}/manifests/{name}"
