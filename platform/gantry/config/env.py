"""The only reader of the process environment: `GANTRY_<AREA>__<KEY>`, checked once, then frozen."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gantry_render.protocol import POD_NAME


class ConfigurationError(SystemExit):
    """The environment is not usable; the process stops with a sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"gantry: {sentence}")


@dataclass(frozen=True, slots=True)
class Database:
    host: str
    port: int
    name: str
    role: str
    passwords: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Environment:
    kind: str
    region: str
    #: Hosts that audit events may be sent to: a tenant chooses among them, and nothing else is ever called.
    feed_hosts: frozenset[str]
    state_dir: Path
    secret_key: str
    context_key: bytes
    job_key: bytes
    database: Database
    redis_url: str
    inference_runtime: str
    triton_url: str
    model_repository: Path
    objects_kind: str
    objects_directory: Path
    s3_endpoint: str
    s3_bucket: str
    s3_region: str
    keys_kind: str
    keys_directory: Path
    kms_key_id: str
    key_bucket: str
    web_host: str
    web_port: int
    web_origin: str
    web_dist: Path
    trusted_proxy: bool
    render_url: str
    render_pod_keys: Mapping[str, str]
    render_ticket_key: bytes
    quiet_s: float
    max_instance_bytes: int
    token_max_days: int
    emergency_minutes: int
    emergencies_per_hour: int
    telemetry_exporter: str
    otlp_endpoint: str
    log_level: str

    @property
    def is_embedded(self) -> bool:
        return self.kind == "embedded"


_ROLES = ("owner", "app", "identity", "sequencer", "auditor")
_REPOSITORY_ROOT = Path(__file__).resolve().parents[3]

#: Every key that may be set, with its default; `None` is required. An unknown GANTRY_ key stops the process.
_KEYS: dict[str, str | None] = {
    "GANTRY_ENVIRONMENT": "embedded",
    "GANTRY_CELL__REGION": "local",
    "GANTRY_AUDIT__FEED_HOSTS": "",
    "GANTRY_STATE_DIR": str(_REPOSITORY_ROOT / ".gantry"),
    "GANTRY_SECRET_KEY": None,
    "GANTRY_CONTEXT_KEY": None,
    "GANTRY_JOB_KEY": None,
    "GANTRY_DATABASE__HOST": None,
    "GANTRY_DATABASE__PORT": "5432",
    "GANTRY_DATABASE__NAME": "gantry",
    "GANTRY_DATABASE__ROLE": "app",
    **{f"GANTRY_DATABASE__{role.upper()}_PASSWORD": "" for role in _ROLES},
    "GANTRY_REDIS__URL": "",
    "GANTRY_INFERENCE__RUNTIME": "onnxruntime",
    "GANTRY_INFERENCE__TRITON_URL": "127.0.0.1:8001",
    "GANTRY_INFERENCE__REPOSITORY": str(_REPOSITORY_ROOT / "inference" / "model_repository"),
    "GANTRY_OBJECTS__KIND": "directory",
    "GANTRY_OBJECTS__DIRECTORY": "",
    "GANTRY_OBJECTS__S3_ENDPOINT": "",
    "GANTRY_OBJECTS__S3_BUCKET": "",
    "GANTRY_OBJECTS__S3_REGION": "",
    "GANTRY_KEYS__KIND": "directory",
    "GANTRY_KEYS__DIRECTORY": "",
    "GANTRY_KEYS__KMS_KEY_ID": "",
    "GANTRY_KEYS__BUCKET": "",
    "GANTRY_WEB__HOST": "127.0.0.1",
    "GANTRY_WEB__PORT": "8000",
    "GANTRY_WEB__ORIGIN": "http://127.0.0.1:8000",
    "GANTRY_WEB__DIST": str(_REPOSITORY_ROOT / "platform" / "web" / "dist"),
    "GANTRY_WEB__TRUSTED_PROXY": "false",
    "GANTRY_RENDER__URL": "",
    "GANTRY_RENDER__POD_KEY": "",
    "GANTRY_RENDER__TICKET_KEY": "",
    "GANTRY_INGEST__QUIET_S": "60",
    "GANTRY_INGEST__MAX_INSTANCE_BYTES": str(512 * 1024 * 1024),
    "GANTRY_ACCESS__TOKEN_MAX_DAYS": "365",
    "GANTRY_ACCESS__EMERGENCY_MINUTES": "60",
    "GANTRY_ACCESS__EMERGENCIES_PER_HOUR": "5",
    "GANTRY_TELEMETRY__EXPORTER": "none",
    "GANTRY_TELEMETRY__OTLP_ENDPOINT": "",
    "GANTRY_LOG__LEVEL": "INFO",
}

#: Keys that render pods read (`gantry_render.server.config`), where one environment serves both.
_POD_KEYS = frozenset(
    f"GANTRY_RENDER__{key}"
    for key in (
        "HOST", "PORT", "SOCKET", "CONTROL_URL", "TICKET_PUBLIC_KEY", "ORIGINS", "MEMORY_BYTES", "POD_NAME",
    )
)  # fmt: skip

#: Keys of the tooling around the control plane, not of the control plane itself.
_FOREIGN_PREFIXES = ("GANTRY_HIDE", "GANTRY_TESTDATA", "GANTRY_EMBEDDED")


def parse_environment(source: Mapping[str, str]) -> Environment:
    """Check the variables and freeze them.

    Raises
    ------
    ConfigurationError
        A key is unknown, missing or has a bad value.
    """
    unknown = sorted(
        key
        for key in source
        if key.startswith("GANTRY_")
        and key not in _KEYS
        and key not in _POD_KEYS
        and not key.startswith(_FOREIGN_PREFIXES)
    )
    if unknown:
        raise ConfigurationError(f"unknown setting {unknown[0]}; known ones begin with {', '.join(sorted(_areas()))}.")
    values: dict[str, str] = {}
    for key, default in _KEYS.items():
        value = source.get(key, default)
        if value is None:
            raise ConfigurationError(
                f"{key} is not set. `gantry up` writes it to .gantry/embedded.env; elsewhere set it yourself."
            )
        values[key] = value

    def choice(key: str, *allowed: str) -> str:
        if values[key] not in allowed:
            raise ConfigurationError(f"{key} is {values[key]!r}; it must be one of {', '.join(allowed)}.")
        return values[key]

    def number(key: str, kind: type[int] | type[float]) -> float:
        try:
            return kind(values[key])
        except ValueError:
            raise ConfigurationError(f"{key} is {values[key]!r}, not a number.") from None

    def positive(key: str) -> int:
        value = int(number(key, int))
        if value < 1:
            raise ConfigurationError(f"{key} is {value}; it must be 1 or more.")
        return value

    def key_bytes(key: str) -> bytes:
        try:
            raw = bytes.fromhex(values[key])
        except ValueError:
            raw = b""
        if len(raw) < 32:
            raise ConfigurationError(f"{key} must be at least 32 bytes in hexadecimal.")
        return raw

    state_dir = Path(values["GANTRY_STATE_DIR"])
    return Environment(
        kind=choice("GANTRY_ENVIRONMENT", "embedded", "production"),
        region=_region(values["GANTRY_CELL__REGION"]),
        feed_hosts=frozenset(filter(None, (one.strip() for one in values["GANTRY_AUDIT__FEED_HOSTS"].split(",")))),
        state_dir=state_dir,
        secret_key=values["GANTRY_SECRET_KEY"],
        context_key=key_bytes("GANTRY_CONTEXT_KEY"),
        job_key=key_bytes("GANTRY_JOB_KEY"),
        database=Database(
            host=values["GANTRY_DATABASE__HOST"],
            port=int(number("GANTRY_DATABASE__PORT", int)),
            name=values["GANTRY_DATABASE__NAME"],
            role=choice("GANTRY_DATABASE__ROLE", *_ROLES),
            passwords={role: values[f"GANTRY_DATABASE__{role.upper()}_PASSWORD"] for role in _ROLES},
        ),
        redis_url=values["GANTRY_REDIS__URL"],
        inference_runtime=choice("GANTRY_INFERENCE__RUNTIME", "triton", "onnxruntime"),
        triton_url=values["GANTRY_INFERENCE__TRITON_URL"],
        model_repository=Path(values["GANTRY_INFERENCE__REPOSITORY"]),
        objects_kind=choice("GANTRY_OBJECTS__KIND", "directory", "s3"),
        objects_directory=Path(values["GANTRY_OBJECTS__DIRECTORY"] or state_dir / "objects"),
        s3_endpoint=values["GANTRY_OBJECTS__S3_ENDPOINT"],
        s3_bucket=values["GANTRY_OBJECTS__S3_BUCKET"],
        s3_region=values["GANTRY_OBJECTS__S3_REGION"],
        keys_kind=choice("GANTRY_KEYS__KIND", "directory", "kms"),
        keys_directory=Path(values["GANTRY_KEYS__DIRECTORY"] or state_dir / "keys"),
        kms_key_id=values["GANTRY_KEYS__KMS_KEY_ID"],
        key_bucket=values["GANTRY_KEYS__BUCKET"],
        web_host=values["GANTRY_WEB__HOST"],
        web_port=int(number("GANTRY_WEB__PORT", int)),
        web_origin=values["GANTRY_WEB__ORIGIN"].rstrip("/"),
        web_dist=Path(values["GANTRY_WEB__DIST"]),
        trusted_proxy=choice("GANTRY_WEB__TRUSTED_PROXY", "true", "false") == "true",
        render_url=_render_url(values),
        render_pod_keys=_render_pod_keys(values),
        render_ticket_key=key_bytes("GANTRY_RENDER__TICKET_KEY") if values["GANTRY_RENDER__TICKET_KEY"] else b"",
        quiet_s=number("GANTRY_INGEST__QUIET_S", float),
        max_instance_bytes=int(number("GANTRY_INGEST__MAX_INSTANCE_BYTES", int)),
        token_max_days=positive("GANTRY_ACCESS__TOKEN_MAX_DAYS"),
        emergency_minutes=positive("GANTRY_ACCESS__EMERGENCY_MINUTES"),
        emergencies_per_hour=positive("GANTRY_ACCESS__EMERGENCIES_PER_HOUR"),
        telemetry_exporter=choice("GANTRY_TELEMETRY__EXPORTER", "none", "console", "otlp"),
        otlp_endpoint=values["GANTRY_TELEMETRY__OTLP_ENDPOINT"],
        log_level=choice("GANTRY_LOG__LEVEL", "DEBUG", "INFO", "WARNING", "ERROR"),
    )


def _region(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,32}", name):
        raise ConfigurationError(f"GANTRY_CELL__REGION is {name!r}; a region has small letters, digits and hyphens.")
    return name


def _render_url(values: Mapping[str, str]) -> str:
    urls = [url.strip().rstrip("/") for url in values["GANTRY_RENDER__URL"].split(",") if url.strip()]
    if not urls:
        return ""
    for url in urls:
        if not url.startswith(("http://", "https://", "unix:/")):
            raise ConfigurationError(
                f"GANTRY_RENDER__URL names {url!r}; an address begins with http://, https:// or unix:/."
            )
    if not values["GANTRY_RENDER__POD_KEY"] or len(values["GANTRY_RENDER__TICKET_KEY"]) != 64:
        raise ConfigurationError(
            "GANTRY_RENDER__URL is set, so GANTRY_RENDER__POD_KEY must be set and GANTRY_RENDER__TICKET_KEY "
            "be 32 bytes in hexadecimal."
        )
    return ",".join(urls)


def _render_pod_keys(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return the key of each pod by its name; of one key that all pods share the name is empty."""
    given = values["GANTRY_RENDER__POD_KEY"]
    if not given:
        return {}
    keys: dict[str, str] = {}
    for entry in given.split(",") if "=" in given else [f"={given}"]:
        name, _, key = entry.strip().partition("=")
        if len(key) < 32:
            raise ConfigurationError("GANTRY_RENDER__POD_KEY holds a key of less than 32 characters.")
        if "=" in given and not re.fullmatch(POD_NAME, name):
            raise ConfigurationError("GANTRY_RENDER__POD_KEY is one key, or name=key for each pod, with commas.")
        if name in keys or key in keys.values():
            raise ConfigurationError("GANTRY_RENDER__POD_KEY gives a name or a key twice.")
        keys[name] = key
    return keys


def _areas() -> set[str]:
    return {key.split("__")[0] for key in _KEYS}


def load_env_file(path: Path) -> None:
    """Add the variables of an embedded stack's env file to the process, without overriding any."""
    for line in path.read_text().splitlines():
        key, separator, value = line.partition("=")
        if separator and not key.startswith("#"):
            os.environ.setdefault(key.strip(), value)


@functools.cache
def environment() -> Environment:
    """Return this process's configuration, read once."""
    return parse_environment(os.environ)


def use_settings(*, role: str | None = None) -> None:
    """Name our settings to Django, unless somebody named others; `role` connects as that database role."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry.config.settings")
    if role is not None:
        os.environ["GANTRY_DATABASE__ROLE"] = role
