"""Orthanc with its DICOMweb plug-in, as the peer of a benchmark: own configuration, own folder, loopback only."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self

import httpx

from embedded_stack import wait_until
from gantry.embedded.ports import first_free_ports

_PROGRAMS: Final = ("Orthanc", "/usr/sbin/Orthanc")
_PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def why_no_orthanc() -> str | None:
    """Return why the peer cannot run here, or None."""
    if _program() is None or not _PLUGIN.exists():
        return "Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)."
    return None


def _program() -> str | None:
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


class OrthancPeer:
    """A running Orthanc; everything it kept goes when the block ends."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="gantry-orthanc-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        (self.port,) = first_free_ports(19_200)[:1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.version = ""

    def __enter__(self) -> Self:
        program = _program()
        assert program is not None, why_no_orthanc()
        # Tuned in the peer's favour: every file of the series stays in its memory, nothing but HTTP is listened on.
        settings: dict[str, Any] = {
            "Name": "peer",
            "StorageDirectory": str(self._folder / "storage"),
            "IndexDirectory": str(self._folder / "storage"),
            "HttpServerEnabled": True,
            "HttpPort": self.port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomServerEnabled": False,
            "KeepAlive": True,
            "TcpNoDelay": True,
            "HttpCompressionEnabled": False,
            "MaximumStorageCacheSize": 1024,
            "SaveJobs": False,
            "Plugins": [str(_PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        }
        path = self._folder / "orthanc.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen([program, str(path)], stdout=log, stderr=log, cwd=self._folder)
        wait_until(self._answers, "Orthanc answers")
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text(encoding="utf-8")[-2000:]
        try:
            self.version = str(httpx.get(f"{self.url}/system").json()["Version"])
        except httpx.TransportError:
            return False
        return True

    def store(self, files: Iterable[Path]) -> None:
        """Upload files."""
        with httpx.Client(timeout=60.0) as client:
            for path in files:
                client.post(f"{self.url}/instances", content=path.read_bytes()).raise_for_status()

    def rendered_path(self, uids: tuple[str, str, str], center: float, width: float, quality: int) -> str:
        """Return the address of a rendered instance: study, series and instance UID, window, quality."""
        study, series, instance = uids
        return (
            f"/dicom-web/studies/{study}/series/{series}/instances/{instance}/rendered"
            f"?window={center:g},{width:g},linear&quality={quality}"
        )

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
