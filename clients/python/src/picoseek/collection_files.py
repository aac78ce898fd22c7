"""Documents in files: Parquet, or NPY with texts beside it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from picoseek.box import Box
from picoseek.collection import AttributeType, Collection
from picoseek.document import AttributeValue, Document, Provenance
from picoseek.embedding import EmbeddingSpace, Vector, VectorType
from picoseek.errors import InvalidArgumentError

_SPACE = b"picoseek.space"
_PARTIAL = ".partial"
_OTHER_FORMATS = {".csv", ".h5", ".hdf5", ".json", ".jsonl", ".npy", ".npz", ".pq", ".tsv", ".txt", ".zip"}


class DocumentWriter(Protocol):
    """Writes documents one after the other."""

    def write(self, documents: Sequence[Document]) -> None:
        """Write documents, vectors included."""
        ...

    def finish(self) -> None:
        """Make the file appear, whole."""
        ...

    def close(self) -> None:
        """Remove what is not finished."""
        ...


class DocumentFile(Protocol):
    """Documents that were written before."""

    @property
    def rows(self) -> int:
        """How many there are."""
        ...

    @property
    def space(self) -> str:
        """Digest of their embedding space; empty: the file does not say."""
        ...

    def batches(self, size: int) -> Iterator[list[Document]]:
        """Yield them in order, `size` at a time.

        Raises:
            InvalidArgumentError: a row is none of a document; the message names it.
        """
        ...


def open_writer(path: Path, collection: Collection) -> DocumentWriter:
    """Return a writer of a file that is not there yet: Parquet if the name ends so, else a folder with NPY.

    Raises:
        FileExistsError: there is something already.
        FileNotFoundError: the folder in which it shall be is not there.
        InvalidArgumentError: the name ends like a file of another format.
    """
    if path.suffix.lower() in _OTHER_FORMATS:
        raise InvalidArgumentError(
            f"{path}: documents are not written as {path.suffix}; choose a name that ends with .parquet, or without "
            "an ending for a folder with NPY"
        )
    if path.exists():
        raise FileExistsError(f"{path} is there already; choose another name, or remove it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} is no folder; make it, or choose another place for {path.name}")
    return ParquetWriter(path, collection) if path.suffix.lower() == ".parquet" else NpyWriter(path, collection)


def open_file(path: Path, collection: Collection) -> DocumentFile:
    """Return documents to be read: a Parquet file, or a folder with NPY.

    Raises:
        InvalidArgumentError: its columns or the dimension of its vectors do not fit the collection.
        OSError: it cannot be read.
    """
    if path.suffix.lower() == ".npy":
        raise InvalidArgumentError(
            f"{path} holds vectors without ids: name the folder in which vectors.npy and ids.txt, a line a row, are"
        )
    return NpyFile(path, collection) if path.is_dir() else ParquetFile(path, collection)


class ParquetWriter:
    """One row a document: id, item, vector, labels, attributes, payload, source, crop_box."""

    def __init__(self, path: Path, collection: Collection) -> None:
        """Begin a file beside its place."""
        pa, parquet = _pyarrow()
        self._pa = pa
        self._path = path
        self._partial = path.with_name(path.name + _PARTIAL)
        self._schema = pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("item", pa.string(), nullable=False),
                pa.field(
                    "vector", pa.list_(_component(pa, collection.space), _columns(collection.space)), nullable=False
                ),
                pa.field("labels", pa.list_(pa.string())),
                *_attribute_fields(pa, collection),
                pa.field("payload", pa.binary()),
                pa.field("source", pa.string()),
                pa.field("crop_box", pa.list_(pa.float32(), 4)),
            ],
            metadata={_SPACE: _space_json(collection.space).encode()},
        )
        self._has_attributes = bool(collection.schema)
        with ExitStack() as undo:
            undo.callback(self._partial.unlink, missing_ok=True)
            self._writer = parquet.ParquetWriter(self._partial, self._schema, compression="zstd")
            undo.pop_all()

    def write(self, documents: Sequence[Document]) -> None:
        """See DocumentWriter."""
        self._writer.write_table(self._pa.Table.from_pylist([self._row(one) for one in documents], self._schema))

    def finish(self) -> None:
        """See DocumentWriter."""
        self._writer.close()
        os.replace(self._partial, self._path)

    def close(self) -> None:
        """See DocumentWriter."""
        try:
            self._writer.close()
        finally:
            self._partial.unlink(missing_ok=True)

    def _row(self, document: Document) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": document.id,
            "item": document.item,
            "vector": document.vector,
            "labels": list(document.labels),
            "payload": document.payload,
            "source": document.provenance.source if document.provenance else "",
        }
        if self._has_attributes:
            row["attributes"] = dict(document.attributes)
        if document.provenance and document.provenance.crop_box:
            row["crop_box"] = document.provenance.crop_box.as_list()
        return row


class ParquetFile:
    """Reads what ParquetWriter wrote, or any file with columns `id` and `vector`."""

    def __init__(self, path: Path, collection: Collection) -> None:
        """Open it, see open_file()."""
        pa, parquet = _pyarrow()
        try:
            self._file = parquet.ParquetFile(path)
        except pa.ArrowInvalid as error:
            raise InvalidArgumentError(f"{path} is no Parquet file: {error}") from error
        self._path = path
        self._space_of_collection = collection.space
        self._doubles = {field.name for field in collection.schema if field.type is AttributeType.DOUBLE}
        schema = self._file.schema_arrow
        missing = [name for name in ("id", "vector") if name not in schema.names]
        if missing:
            raise InvalidArgumentError(f"{path} has no column {missing[0]!r}; it needs id and vector at least")
        _check_column_types(pa, path, schema)
        self.space = json.loads((schema.metadata or {}).get(_SPACE, b"{}")).get("digest", "")
        self.rows: int = self._file.metadata.num_rows

    def batches(self, size: int) -> Iterator[list[Document]]:
        """See DocumentFile."""
        first = 0
        for batch in self._file.iter_batches(size):
            yield [self._document(first + place, row) for place, row in enumerate(batch.to_pylist())]
            first += batch.num_rows

    def _document(self, number: int, row: dict[str, Any]) -> Document:
        where = f"{self._path}, row {number}"
        if not isinstance(row["id"], str) or not row["id"]:
            raise InvalidArgumentError(f"{where}: id is no text, or empty")
        if row["vector"] is None:
            raise InvalidArgumentError(f"{where}: vector is null; every document has one")
        try:
            vector = np.asarray(row["vector"], _dtype(self._space_of_collection))
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidArgumentError(f"{where}: vector is none: {error}") from error
        check_vector(vector, self._space_of_collection, where)
        attributes: dict[str, AttributeValue] = {
            name: self._attribute(name, value)
            for name, value in (row.get("attributes") or {}).items()
            if value is not None
        }
        box, source = row.get("crop_box"), row.get("source") or ""
        if box and len(box) != 4:
            raise InvalidArgumentError(f"{where}: crop_box has {len(box)} numbers; it takes x1 y1 x2 y2")
        return Document(
            row["id"],
            vector,
            row.get("item") or "",
            tuple(row.get("labels") or ()),
            attributes,
            row.get("payload") or b"",
            Provenance(source, Box(*box) if box else None) if source or box else None,
        )

    def _attribute(self, name: str, value: Any) -> AttributeValue:
        if type(value) is int and name in self._doubles:
            return float(value)
        return tuple(value) if isinstance(value, list) else value


class NpyWriter:
    """A folder with vectors.npy, ids.txt, items.txt, labels.jsonl and space.json, a line a document.

    Attributes, payloads and provenance have no place in it.
    """

    def __init__(self, path: Path, collection: Collection) -> None:
        """Begin a folder beside its place."""
        self._path = path
        self._partial = path.with_name(path.name + _PARTIAL)
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._space = collection.space
        self._rows = 0
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, self._partial, ignore_errors=True)
            (self._partial / "space.json").write_text(_space_json(collection.space) + "\n", "utf-8")
            self._files = undo.enter_context(ExitStack())
            self._raw = self._files.enter_context((self._partial / "raw").open("wb"))
            self._ids, self._items, self._labels = (
                self._files.enter_context((self._partial / name).open("w", encoding="utf-8", newline="\n"))
                for name in ("ids.txt", "items.txt", "labels.jsonl")
            )
            undo.pop_all()

    def write(self, documents: Sequence[Document]) -> None:
        """See DocumentWriter."""
        for one in documents:
            if one.vector is not None:
                self._raw.write(np.ascontiguousarray(one.vector, _dtype(self._space)).tobytes())
            self._ids.write(one.id + "\n")
            self._items.write(one.item + "\n")
            self._labels.write(json.dumps(list(one.labels), ensure_ascii=False) + "\n")
        self._rows += len(documents)

    def finish(self) -> None:
        """See DocumentWriter."""
        self._files.close()
        raw = self._partial / "raw"
        shape = (self._rows, _columns(self._space))
        # The number of rows stands at the beginning of the file, and is known only now.
        with (self._partial / "vectors.npy").open("wb") as file, raw.open("rb") as content:
            header = {"descr": np.dtype(_dtype(self._space)).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            shutil.copyfileobj(content, file, 1 << 20)
        raw.unlink()
        os.replace(self._partial, self._path)

    def close(self) -> None:
        """See DocumentWriter."""
        try:
            self._files.close()
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)


class NpyFile:
    """Reads what NpyWriter wrote: vectors.npy and ids.txt or ids.npy; items.txt and labels.jsonl if they are there."""

    def __init__(self, path: Path, collection: Collection) -> None:
        """Open it, see open_file()."""
        self._path = path
        try:
            self._vectors: Vector = np.load(path / "vectors.npy", mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise InvalidArgumentError(f"{path / 'vectors.npy'} is no NPY file of numbers: {error}") from error
        space = collection.space
        if self._vectors.ndim != 2:
            raise InvalidArgumentError(
                f"{path / 'vectors.npy'} has {self._vectors.ndim} dimensions, not 2: one row a document"
            )
        wanted = "uint8" if space.type is VectorType.BITS else "float32"
        if self._vectors.dtype not in (
            np.dtype(_dtype(space)),
            *([] if space.type is VectorType.BITS else [np.float64]),
        ):
            raise InvalidArgumentError(
                f"{path / 'vectors.npy'} is of {self._vectors.dtype}, the collection takes {wanted}; "
                f"write it anew with `numpy.save(path, vectors.astype('{wanted}'))`"
            )
        self._space_of_collection = space
        self.rows = len(self._vectors)
        if self.rows:
            check_vector(np.asarray(self._vectors[0], _dtype(space)), space, f"{path / 'vectors.npy'}, row 0")
        self._ids = self._id_list()
        self._items = self._lines("items.txt") or [""] * self.rows
        self._labels = self._lines("labels.jsonl") or ["[]"] * self.rows
        for name, lines in (("ids", self._ids), ("items.txt", self._items), ("labels.jsonl", self._labels)):
            if len(lines) != self.rows:
                raise InvalidArgumentError(f"{path}: vectors.npy has {self.rows} rows, {name} has {len(lines)}")
        about = path / "space.json"
        self.space = json.loads(about.read_text("utf-8")).get("digest", "") if about.exists() else ""

    def batches(self, size: int) -> Iterator[list[Document]]:
        """See DocumentFile."""
        for start in range(0, self.rows, size):
            yield [self._document(number) for number in range(start, min(self.rows, start + size))]

    def _document(self, number: int) -> Document:
        where = f"{self._path}, row {number}"
        if not self._ids[number]:
            raise InvalidArgumentError(f"{where}: the id is empty")
        vector = np.asarray(self._vectors[number], _dtype(self._space_of_collection))
        check_vector(vector, self._space_of_collection, where)
        try:
            labels = json.loads(self._labels[number])
        except ValueError as error:
            raise InvalidArgumentError(f"{where}: labels.jsonl holds no JSON there") from error
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise InvalidArgumentError(f"{where}: labels.jsonl holds no list of texts there")
        return Document(self._ids[number], vector, self._items[number], tuple(labels))

    def _id_list(self) -> list[str]:
        array = self._path / "ids.npy"
        if array.exists():
            return [str(one) for one in np.load(array, allow_pickle=False).tolist()]
        lines = self._lines("ids.txt")
        if lines is None:
            raise InvalidArgumentError(f"{self._path} has neither ids.txt nor ids.npy")
        return lines

    def _lines(self, name: str) -> list[str] | None:
        path = self._path / name
        if not path.exists():
            return None
        text = path.read_text("utf-8")
        return text.removesuffix("\n").split("\n") if text else []


def _check_column_types(pa: Any, path: Path, schema: Any) -> None:
    """Refuse columns of another structure, before anything of them is written."""
    types = pa.types
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    for name, wanted, kinds in (
        ("vector", "a list of numbers", lists),
        ("labels", "a list of texts", lists),
        ("attributes", "a structure with a field an attribute", (types.is_struct,)),
        ("crop_box", "a list of four numbers", lists),
    ):
        for index in schema.get_all_field_indices(name):
            type_ = schema.field(index).type
            if not types.is_null(type_) and not any(is_kind(type_) for is_kind in kinds):
                raise InvalidArgumentError(f"{path}: column {name} is of type {type_}; it takes {wanted}")


def check_vector(vector: Vector, space: EmbeddingSpace, where: str) -> None:
    """Refuse a vector that no collection of a space takes.

    Raises:
        InvalidArgumentError: its length is another one, or it holds what is no number.
    """
    if vector.shape != (_columns(space),):
        shape = "x".join(map(str, vector.shape))
        raise InvalidArgumentError(
            f"{where}: the vector has {shape} components, the collection takes {_columns(space)}",
            reason="VECTOR_DIMENSION_MISMATCH",
        )
    if vector.dtype.kind == "f" and not np.isfinite(vector).all():
        raise InvalidArgumentError(f"{where}: the vector holds what is no finite number", reason="VECTOR_NOT_FINITE")


def _columns(space: EmbeddingSpace) -> int:
    return space.dimension // 8 if space.type is VectorType.BITS else space.dimension


def _dtype(space: EmbeddingSpace) -> str:
    return "|u1" if space.type is VectorType.BITS else "<f4"


def _space_json(space: EmbeddingSpace) -> str:
    return json.dumps({"digest": space.digest, "dimension": space.dimension, "type": space.type.value})


def _component(pa: Any, space: EmbeddingSpace) -> Any:
    return pa.uint8() if space.type is VectorType.BITS else pa.float32()


def _attribute_fields(pa: Any, collection: Collection) -> list[Any]:
    types = {
        AttributeType.STRING: pa.string(),
        AttributeType.INT: pa.int64(),
        AttributeType.DOUBLE: pa.float64(),
        AttributeType.BOOL: pa.bool_(),
        AttributeType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
        AttributeType.STRING_LIST: pa.list_(pa.string()),
    }
    # Parquet knows no structure without fields.
    fields = [pa.field(field.name, types[field.type]) for field in collection.schema]
    return [pa.field("attributes", pa.struct(fields))] if fields else []


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InvalidArgumentError(
            "Parquet needs pyarrow: pip install 'picoseek[parquet]', or use a folder with NPY"
        ) from error
    return pyarrow, pyarrow.parquet
