"""Applies writes to a shard: log, documents, answers and index, each write once and all or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from picoseek_chassis import errors
from picoseek_protos.log.v1 import record_pb2

from picoseek_search.collection.shard_index import ShardIndex
from picoseek_search.collection.write_queue import Outcome, Write, WriteResult
from picoseek_search.filtering.conditions import Schema, read_filter
from picoseek_search.storage.applied import mark_applied, read_applied
from picoseek_search.storage.database import CollectionDatabase
from picoseek_search.storage.documents import DocumentWriter, Effect
from picoseek_search.storage.filter_sql import sql_of
from picoseek_search.storage.log import Log, Revision
from picoseek_search.storage.requests import AppliedRequest, RequestTable, WriteCounts
from picoseek_search.storage.sqlite import corrupt, transaction, translated

_RETRY_AFTER_CHANGE_S = 0.01


class ShardWriter:
    """The one writer of a shard."""

    def __init__(
        self,
        shard: int,
        database: CollectionDatabase,
        log: Log,
        requests: RequestTable,
        index: ShardIndex,
        schema: Schema,
    ) -> None:
        """Write to a shard.

        Args:
            shard: its number.
            database: with whose writing connection `log` and `requests` work.
            log: decides the order.
            requests: writes that were applied.
            index: what searches see.
            schema: attributes that filters may name.
        """
        self._shard = shard
        self._database = database
        self._documents = DocumentWriter(database.writer, shard)
        self._log = log
        self._requests = requests
        self._index = index
        self._schema = schema
        self._schema_version = 0

    def change_schema(self, schema: Schema, version: int) -> None:
        """Read filters by another schema, and refuse writes for an older version; the index' lock is held."""
        self._schema = schema
        self._schema_version = version

    def apply(self, writes: Sequence[Write]) -> list[Outcome]:
        """Apply writes in one transaction; when it returns, they are on disk and searches see them.

        Returns:
            An outcome for each write; a ServiceError says that this one was refused, which is nothing to the others.

        Raises:
            ServiceError: DISK_FULL or STORAGE_CORRUPT; none of them was applied.
        """
        database = self._database
        with self._index.lock, translated(database.path):
            outcomes: list[Outcome] = []
            revision = before = self._index.snapshot.revision
            effects: list[Effect] = []
            staged = None
            try:
                with transaction(database.writer):
                    if read_applied(database.writer, self._shard, database.path).revision != before:
                        raise corrupt(database.path, "it is not at the revision that was written last")
                    for write in writes:
                        outcome, effect = self._apply_one(write, revision)
                        outcomes.append(outcome)
                        if effect is not None and isinstance(outcome, WriteResult):
                            revision = outcome.revision
                            effects.append(effect)
                    if revision != before:
                        mark_applied(database.writer, self._shard, revision)
                        staged = self._index.stage(Effect.of_all(effects), revision)
            except BaseException:
                self._index.discard()
                raise
            if staged is not None:
                self._index.publish(staged)
            return outcomes

    def _apply_one(self, write: Write, after: Revision) -> tuple[Outcome, Effect | None]:
        known = self._requests.find(self._shard, write.request_id)
        if known is not None:
            if known.content != write.content:
                return _reused(write.request_id), None
            return WriteResult(known.revision, known.counts, already_applied=True), None
        if write.schema_version < self._schema_version:
            return _schema_changed(), None
        record = record_pb2.LogRecord(shard=self._shard, request_id=write.request_id, accepted_at=write.accepted_at)
        change = write.change
        if isinstance(change, record_pb2.UpsertChange):
            record.upsert.CopyFrom(change)
        elif isinstance(change, record_pb2.DeleteChange):
            record.delete.CopyFrom(change)
        else:
            record.delete_by_filter.CopyFrom(change)
        revision = self._log.append(record, after)
        effect = self._change(record)
        counts = _counts(record, effect)
        self._requests.add(self._shard, write.request_id, AppliedRequest(write.content, revision, counts))
        return WriteResult(revision, counts, already_applied=False), effect

    def _change(self, record: record_pb2.LogRecord) -> Effect:
        match record.WhichOneof("change"):
            case "upsert":
                return self._documents.upsert(record.upsert.documents, record.sequence)
            case "delete":
                return self._documents.delete(record.delete.ids)
            case _:
                condition = sql_of(read_filter(record.delete_by_filter.filter, self._schema))
                return self._documents.delete_where(condition)


def _counts(record: record_pb2.LogRecord, effect: Effect) -> WriteCounts:
    if record.HasField("upsert"):
        replaced = len(effect.removed)
        return WriteCounts(inserted=len(effect.added) - replaced, replaced=replaced)
    return WriteCounts(deleted=len(effect.removed))


def _schema_changed() -> errors.ServiceError:
    return errors.unavailable(
        "SCHEMA_CHANGED",
        "the collection's schema was changed while this write was checked, and it was not applied; send it again",
        retry_after_s=_RETRY_AFTER_CHANGE_S,
    )


def _reused(request_id: str) -> errors.ServiceError:
    return errors.aborted(
        "REQUEST_ID_REUSED",
        f"request_id {request_id!r} was used for a write of other content; use a new one for each write",
        request_id=request_id,
    )
