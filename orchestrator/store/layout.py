"""Where everything in a store lies, and how a file appears in it: whole or not at all.

    DIR/trials|epochs|layers|rounds|masks/<segment>.parquet   written by workers, never changed
    DIR/points/<sweep name>.parquet                     the grid of a sweep's latest version
    DIR/sweeps/<sweep hash>.yaml, .json                 the sweep file verbatim, and where it came from
    DIR/runs/<run id>/                                  a run's plan and start markers; removed when the run ends
    DIR/checkpoints/<key>/                              where a long trial goes on; removed when it is committed
    DIR/prefixes/<key>/                                 training that trials share; removed when nothing is left to run

Locally a file is written under a temporary name, flushed to disk and renamed; object stores publish a PUT atomically.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq


class Store:
    """A store at a local folder or an object-store address (`s3://bucket/path`, `gs://bucket/path`)."""

    def __init__(self, location: str | Path) -> None:
        text = str(location)
        if "://" in text:
            self.filesystem, self.root = pafs.FileSystem.from_uri(text)
            self.location = text
        else:
            self.filesystem, self.root = pafs.LocalFileSystem(), str(Path(text).absolute())
            self.location = self.root

    def path(self, *parts: str) -> str:
        """The path of something in the store, in the store's filesystem."""
        return "/".join((self.root.rstrip("/"), *parts))

    def exists(self, *parts: str) -> bool:
        """Whether a file or folder is there."""
        return self.filesystem.get_file_info(self.path(*parts)).type != pafs.FileType.NotFound

    def files(self, *parts: str) -> list[str]:
        """Names of the published files in a folder, sorted; empty where there is no such folder."""
        selector = pafs.FileSelector(self.path(*parts), allow_not_found=True)
        return sorted(
            info.base_name
            for info in self.filesystem.get_file_info(selector)
            if info.type == pafs.FileType.File and not info.base_name.startswith(".")
        )

    def folders(self, *parts: str) -> list[str]:
        """Names of the folders in a folder, sorted; empty where there is no such folder."""
        selector = pafs.FileSelector(self.path(*parts), allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        return sorted(info.base_name for info in infos if info.type == pafs.FileType.Directory)

    def publish_table(self, table: pa.Table, *parts: str) -> None:
        """Write a Parquet file that readers see whole or not at all."""
        self._publish(lambda stream: pq.write_table(table, stream, compression="zstd"), *parts)

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
        with self.filesystem.open_input_stream(self.path(*parts)) as stream:
            return bytes(stream.read())

    def remove(self, *parts: str) -> None:
        """Delete a file; nothing happens where there is none."""
        if self.exists(*parts):
            self.filesystem.delete_file(self.path(*parts))

    def remove_folder(self, *parts: str) -> None:
        """Delete a folder and what is in it; nothing happens where there is none."""
        if self.exists(*parts):
            self.filesystem.delete_dir(self.path(*parts))

    def _publish(self, write: Callable[[IO[bytes]], object], *parts: str) -> None:
        target = self.path(*parts)
        if not isinstance(self.filesystem, pafs.LocalFileSystem):
            with self.filesystem.open_output_stream(target) as stream:
                write(stream)
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
