"""A Google Cloud Storage of our own on loopback: the emulator of gcp-storage-emulator, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time


class GoogleServer:
    """What it holds is in its memory."""

    def __init__(self, bucket: str = "bucket") -> None:
        self.bucket = bucket
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--in-memory", "--default-bucket", bucket]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gcp_storage_emulator", "start", "--quiet", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, "the emulator did not start"
                time.sleep(0.1)
            else:
                return

    def address(self, path: str, *, port: int | None = None) -> str:
        """Of a store in its bucket; `port` is that of a gate before it."""
        return f"gs://anonymous@{self.bucket}/{path}?scheme=http&endpoint_override=127.0.0.1:{port or self.port}"

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
