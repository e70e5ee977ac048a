"""The only reader of this process's environment: checked once, then frozen."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

from gantry_render.protocol import POD_NAME
from gantry_storage import StoreConfig

_MEMORY_BYTES: Final = 2 << 30
_LEAST_MEMORY_BYTES: Final = 64 << 20
_EXPORTERS: Final = ("none", "console", "otlp")
_LEVELS: Final = ("debug", "info", "warning", "error")

#: Keys of this service, with their defaults.
_KEYS: Final[Mapping[str, str]] = {
    "GANTRY_RENDER__HOST": "127.0.0.1",
    "GANTRY_RENDER__PORT": "8010",
    "GANTRY_RENDER__SOCKET": "",
    "GANTRY_RENDER__CONTROL_URL": "",
    "GANTRY_RENDER__POD_KEY": "",
    "GANTRY_RENDER__TICKET_PUBLIC_KEY": "",
    "GANTRY_RENDER__ORIGINS": "",
    "GANTRY_RENDER__MEMORY_BYTES": str(_MEMORY_BYTES),
    "GANTRY_RENDER__POD_NAME": "",
    "GANTRY_OBJECTS__KIND": "directory",
    "GANTRY_OBJECTS__DIRECTORY": "",
    "GANTRY_OBJECTS__S3_ENDPOINT": "",
    "GANTRY_OBJECTS__S3_BUCKET": "",
    "GANTRY_OBJECTS__S3_REGION": "",
    "GANTRY_HIDE": "",
    "GANTRY_LOG__LEVEL": "info",
    "GANTRY_TELEMETRY__EXPORTER": "none",
    "GANTRY_TELEMETRY__OTLP_ENDPOINT": "",
}
#: The control plane's part of the same area; a machine that runs both may set them for all.
_FOREIGN: Final = {"GANTRY_RENDER__URL", "GANTRY_RENDER__TICKET_KEY"}


class ConfigurationError(SystemExit):
    """The environment is not usable; the process stops with a sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"gantry-render: {sentence}")


@dataclass(frozen=True, slots=True)
class RenderConfig:
    """How one pod runs.

    Parameters
    ----------
    host, port, socket
        Where it listens; a Unix socket, where given, in place of the port. Port 0 takes a free one.
    control_url, pod_key
        The control plane's internal address (`http://…` or `unix:/path`) and what this pod shows there.
    ticket_public_key
        Ed25519, 32 bytes.
    origins
        Sites whose pages may open sockets.
    memory_bytes
        Bound of pixels held, the engine's copies included.
    pod_name
        What the control plane calls this pod.
    store
        Where packs lie.
    hidden
        What to do without, as `GANTRY_HIDE` says.
    telemetry_exporter, otlp_endpoint
        Where spans go: `none`, `console` or `otlp`.
    """

    control_url: str
    pod_key: str = field(repr=False)
    ticket_public_key: bytes
    origins: frozenset[str]
    store: StoreConfig
    host: str = "127.0.0.1"
    port: int = 8010
    socket: str = ""
    memory_bytes: int = _MEMORY_BYTES
    pod_name: str = "render"
    hidden: frozenset[str] = frozenset()
    log_level: str = "info"
    telemetry_exporter: str = "none"
    otlp_endpoint: str = ""


def read_config(environment: Mapping[str, str] | None = None) -> RenderConfig:
    """Return the configuration.

    Raises
    ------
    ConfigurationError
        An unknown `GANTRY_RENDER__` key, or a value that cannot be.
    """
    given = dict(os.environ if environment is None else environment)
    for key in given:
        if key.startswith("GANTRY_RENDER__") and key not in _KEYS and key not in _FOREIGN:
            _stop(f"There is no setting {key}.")
    values = {key: given.get(key, default) for key, default in _KEYS.items()}
    return RenderConfig(
        control_url=_control_url(values["GANTRY_RENDER__CONTROL_URL"]),
        pod_key=_required(values, "GANTRY_RENDER__POD_KEY"),
        ticket_public_key=_key(values["GANTRY_RENDER__TICKET_PUBLIC_KEY"]),
        origins=_origins(values["GANTRY_RENDER__ORIGINS"]),
        store=_store(values),
        host=values["GANTRY_RENDER__HOST"],
        port=_whole(values, "GANTRY_RENDER__PORT", 0, 65535),
        socket=values["GANTRY_RENDER__SOCKET"],
        memory_bytes=_whole(values, "GANTRY_RENDER__MEMORY_BYTES", _LEAST_MEMORY_BYTES, 1 << 44),
        pod_name=_pod_name(values["GANTRY_RENDER__POD_NAME"] or f"{socket.gethostname()[:48]}-{os.getpid()}"),
        hidden=frozenset(part.strip() for part in values["GANTRY_HIDE"].split(",") if part.strip()),
        log_level=_level(values["GANTRY_LOG__LEVEL"]),
        telemetry_exporter=_exporter(values["GANTRY_TELEMETRY__EXPORTER"]),
        otlp_endpoint=values["GANTRY_TELEMETRY__OTLP_ENDPOINT"],
    )


def _stop(sentence: str) -> NoReturn:
    raise ConfigurationError(sentence)


def _required(values: Mapping[str, str], key: str) -> str:
    return values[key] or _stop(f"{key} is not set.")


def _whole(values: Mapping[str, str], key: str, low: int, high: int) -> int:
    try:
        number = int(values[key])
    except ValueError:
        _stop(f"{key} is no whole number.")
    if not low <= number <= high:
        _stop(f"{key} lies outside {low} to {high}.")
    return number


def _pod_name(name: str) -> str:
    return (
        name if re.fullmatch(POD_NAME, name) else _stop("GANTRY_RENDER__POD_NAME has letters, digits and ._:- alone.")
    )


def _control_url(url: str) -> str:
    if not url:
        _stop("GANTRY_RENDER__CONTROL_URL is not set.")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "unix"}:
        _stop("GANTRY_RENDER__CONTROL_URL begins with http://, https:// or unix:/.")
    return url.rstrip("/")


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        _stop("GANTRY_RENDER__TICKET_PUBLIC_KEY is not 32 bytes in hexadecimal.")
    return key


def _origins(text: str) -> frozenset[str]:
    origins = frozenset(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    if not origins:
        _stop("GANTRY_RENDER__ORIGINS names no site.")
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
            _stop("GANTRY_RENDER__ORIGINS lists sites as https://host or https://host:port.")
    return origins


def _store(values: Mapping[str, str]) -> StoreConfig:
    if values["GANTRY_OBJECTS__KIND"] == "directory":
        return StoreConfig("directory", path=Path(_required(values, "GANTRY_OBJECTS__DIRECTORY")))
    if values["GANTRY_OBJECTS__KIND"] == "s3":
        return StoreConfig(
            "s3",
            endpoint_url=values["GANTRY_OBJECTS__S3_ENDPOINT"] or None,
            region=values["GANTRY_OBJECTS__S3_REGION"] or None,
            bucket=_required(values, "GANTRY_OBJECTS__S3_BUCKET"),
        )
    _stop("GANTRY_OBJECTS__KIND is directory or s3.")


def _level(text: str) -> str:
    return text.lower() if text.lower() in _LEVELS else _stop(f"GANTRY_LOG__LEVEL is one of {', '.join(_LEVELS)}.")


def _exporter(text: str) -> str:
    return text if text in _EXPORTERS else _stop(f"GANTRY_TELEMETRY__EXPORTER is one of {', '.join(_EXPORTERS)}.")
