"""An object store for tests: moto's S3 on a free loopback port."""

from __future__ import annotations

import contextlib
import functools
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass

from tests.support.postgres import free_port
from tests.support.waiting import PATIENCE

KEY, SECRET, REGION = "boast", "correct-horse", "eu-west-1"


@dataclass
class Bucket:
    """An empty bucket of the running server."""

    name: str
    endpoint: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def env(self) -> dict[str, str]:
        """The environment with which fsspec finds the bucket."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    @property
    def env_of_dlt(self) -> dict[str, str]:
        """The environment with which dlt's filesystem destination finds the bucket."""
        prefix = "DESTINATION__FILESYSTEM__"
        return {
            f"{prefix}BUCKET_URL": f"{self.url}/lake",
            f"{prefix}CREDENTIALS__AWS_ACCESS_KEY_ID": KEY,
            f"{prefix}CREDENTIALS__AWS_SECRET_ACCESS_KEY": SECRET,
            f"{prefix}CREDENTIALS__REGION_NAME": REGION,
            f"{prefix}CREDENTIALS__ENDPOINT_URL": self.endpoint,
        }

    def read(self, key: str) -> str:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read().decode()

    @functools.cached_property
    def client(self):
        import boto3  # noqa: PLC0415 -- comes with moto

        own = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": REGION}
        return boto3.client("s3", endpoint_url=self.endpoint, **own)


@contextlib.contextmanager
def serving():
    """Yield an empty bucket. The server is a separate process, since `deltalake` blocks all threads while it waits."""
    port = free_port()
    bucket = Bucket(f"boast-{uuid.uuid4().hex}", f"http://127.0.0.1:{port}")
    command = [sys.executable, "-c", "import sys; from moto.server import main; main(sys.argv[1:])"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*command, "-H", "127.0.0.1", "-p", str(port)], **quiet) as server:
        try:
            _wait(server, port)
            bucket.client.create_bucket(Bucket=bucket.name, CreateBucketConfiguration={"LocationConstraint": REGION})
            yield bucket
        finally:
            server.terminate()


def _wait(server: subprocess.Popen, port: int) -> None:
    end = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
            return
        time.sleep(0.05)
    raise RuntimeError("moto does not start")
