"""Where everything in a store lies, and how a file appears in it: whole or not at all.

    DIR/trials|epochs|layers|rounds|masks/<segment>.<digest>.parquet   written by workers, never changed
    DIR/trials|epochs|.../merged-<id>-<number>.<digest>.parquet   rows of many segments, written by `compact`
    DIR/merges/<table>-<id>.json                        which files the rows of a merge are in, and which it stands for
    DIR/points/<sweep name>.parquet                     the grid of a sweep's latest version
    DIR/sweeps/<sweep hash>.yaml, .json                 the sweep file verbatim, and where it came from
    DIR/estimates/<run id>.json                         what a run was expected to take (`orchestrator/estimate.py`)
    DIR/runs/<run id>/                                  a run's plan and start markers; removed when the run ends
    DIR/checkpoints/<key>/                              where a long trial goes on; removed when it is committed
    DIR/prefixes/<key>/                                 training that trials share; removed when none is left to run
    DIR/quarantine/                                     damaged files and rows that disagree, put aside by `doctor`

Locally a file is written under a temporary name, flushed to disk and renamed. In an object store it appears with the
request that ends its upload; an operation that fails there is repeated for a while (`object_storage.py`).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from orchestrator.errors import BadInput
from orchestrator.store.object_storage import Waiting, connect

T = TypeVar("T")


class Store:
    """A store at a local folder or an object-store address (`s3://bucket/path`, `gs://bucket/path`)."""

    def __init__(self, location: str | Path) -> None:
        text = str(location)
        self._waiting: Waiting | None = None
        if "://" in text:
            self.filesystem, self.root = connect(text)
            self.location = text
            self._waiting = Waiting(text)
        else:
            self.filesystem, self.root = pafs.LocalFileSystem(), str(Path(text).absolute())
            self.location = self.root

    @property
    def is_remote(self) -> bool:
        """Whether it is an object store."""
        return self._waiting is not None

    def check(self) -> None:
        """Raise BadInput where an object store cannot be used: no such bucket, no permission, no answer."""
        if self._waiting is None:
            return
        bucket = self.root.split("/", 1)[0]
        if self._do(lambda: self.filesystem.get_file_info(bucket)).type == pafs.FileType.NotFound:
            raise BadInput(f"{self.location}: there is no bucket {bucket!r}; create it first, prunesweep does not")

    def expect_answers(self) -> None:
        """Wait long from the first operation on: whoever made this store knew that its address is right."""
        if self._waiting is not None:
            self._waiting.has_answered = True

    def shown(self, path: str | Path) -> str:
        """A path of the store's filesystem as a user would give it."""
        return f"{self.location.split('://')[0]}://{path}" if self.is_remote else str(path)

    def path(self, *parts: str) -> str:
        """The path of something in the store, in the store's filesystem."""
        return "/".join((self.root.rstrip("/"), *parts))

    def exists(self, *parts: str) -> bool:
        """Whether a file or folder is there."""
        info = self._do(lambda: self.filesystem.get_file_info(self.path(*parts)))
        return bool(info.type != pafs.FileType.NotFound)

    def files(self, *parts: str) -> list[str]:
        """Names of the published files in a folder, sorted; empty where there is no such folder."""
        return sorted(
            info.base_name
            for info in self.entries(*parts)
            if info.type == pafs.FileType.File and not info.base_name.startswith(".")
        )

    def folders(self, *parts: str) -> list[str]:
        """Names of the folders in a folder, sorted; empty where there is no such folder."""
        return sorted(info.base_name for info in self.entries(*parts) if info.type == pafs.FileType.Directory)

    def entries(self, *parts: str) -> list[pafs.FileInfo]:
        """What lies in a folder, with sizes and times, unfinished files as well; empty where there is none."""
        folder = self.path(*parts)
        # Arrow lists folders of Google's storage only where an object stands for them, and nobody makes one
        is_google = self.filesystem.type_name == "gcs"
        selector = pafs.FileSelector(folder, allow_not_found=True, recursive=is_google)
        found = self._do(lambda: self.filesystem.get_file_info(selector))
        return _first_level(found, folder) if is_google else found

    def publish_table(self, table: pa.Table, *parts: str) -> None:
        """Write a Parquet file that readers see whole or not at all."""
        self._publish(lambda stream: pq.write_table(table, stream, compression="zstd"), *parts)

    def publish_tables(self, schema: pa.Schema, tables: Iterable[pa.Table], *parts: str) -> None:
        """Write a Parquet file table by table, each a row group; readers see it whole or not at all."""

        def write(stream: IO[bytes]) -> None:
            with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
                for table in tables:
                    writer.write_table(table)

        self._publish(write, *parts)

    def publish_text(self, text: str, *parts: str) -> None:
        """Write a text file that readers see whole or not at all."""
        self.publish_bytes(text.encode(), *parts)

    def publish_bytes(self, content: bytes, *parts: str) -> None:
        """Write a file that readers see whole or not at all."""
        self._publish(lambda stream: stream.write(content), *parts)

    def read_text(self, *parts: str) -> str:
        """The text of a published file."""
        return self.read_bytes(*parts).decode()

    def read_bytes(self, *parts: str) -> bytes:
        """The content of a published file. Raises OSError where there is none."""

        def read() -> bytes:
            with self.filesystem.open_input_stream(self.path(*parts)) as stream:
                return bytes(stream.read())

        return self._do(read)

    def read_rows(self, start: int, stop: int, *parts: str) -> pa.Table:
        """Rows [start, stop) of a Parquet file; only the row groups that hold them are read."""

        def read() -> pa.Table:
            with self.filesystem.open_input_file(self.path(*parts)) as stream:
                file = pq.ParquetFile(stream)
                groups: list[int] = []
                first = end = 0
                for group in range(file.num_row_groups):
                    begin, end = end, end + file.metadata.row_group(group).num_rows
                    if begin < stop and end > start:
                        first = first if groups else begin
                        groups.append(group)
                return file.read_row_groups(groups, use_threads=False).slice(start - first, stop - start)

        return self._do(read)

    def remove(self, *parts: str) -> None:
        """Delete a file; nothing happens where there is none."""
        with suppress(FileNotFoundError):
            self._do(lambda: self.filesystem.delete_file(self.path(*parts)))

    def remove_folder(self, *parts: str) -> None:
        """Delete a folder and what is in it; nothing happens where there is none."""
        with suppress(FileNotFoundError):
            self._do(lambda: self.filesystem.delete_dir(self.path(*parts)))

    def move(self, source: tuple[str, ...], target: tuple[str, ...]) -> None:
        """Give a file another place, which has to be free; nothing happens where there is no such file."""
        if not self.is_remote:
            Path(self.path(*target)).parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self._do(lambda: self.filesystem.move(self.path(*source), self.path(*target)))

    def _do(self, operation: Callable[[], T]) -> T:
        return operation() if self._waiting is None else self._waiting(operation)

    def _publish(self, write: Callable[[IO[bytes]], object], *parts: str) -> None:
        target = self.path(*parts)
        if self.is_remote:
            content = pa.BufferOutputStream()
            write(content)  # an error here leaves nothing: closing a stream to the store would publish its half
            whole = content.getvalue()
            self._do(lambda: self._put(whole, target))
            return
        folder = Path(target).parent
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{uuid.uuid4().hex}"
        try:
            with temporary.open("wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # the new name is durable only once its folder is
        finally:
            os.close(descriptor)

    def _put(self, content: pa.Buffer, target: str) -> None:
        with self.filesystem.open_output_stream(target) as stream:
            stream.write(content)


def _first_level(found: list[pafs.FileInfo], folder: str) -> list[pafs.FileInfo]:
    """Of all that lies below a folder, what lies in it: files, and the folders of the others."""
    level: dict[str, pafs.FileInfo] = {}
    for info in found:
        name, _, deeper = info.path.removeprefix(f"{folder.rstrip('/')}/").partition("/")
        if deeper or name not in level:
            path = f"{folder.rstrip('/')}/{name}"
            level[name] = pafs.FileInfo(path, pafs.FileType.Directory) if deeper else info
    return list(level.values())
