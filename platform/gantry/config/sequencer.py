"""The sequencer's own configuration: it shares neither environment nor secrets with web and worker."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gantry.audit.copies import open_copies
from gantry.audit.notes import NoteError, Signer
from gantry.audit.sequencer import SequencerConfig
from gantry.audit.witnesses import Witness
from gantry.config.env import ConfigurationError

#: Every key that may be set, with its default; `None` is required.
KEYS: Final[dict[str, str | None]] = {
    "GANTRY_DATABASE__HOST": None,
    "GANTRY_DATABASE__PORT": "5432",
    "GANTRY_DATABASE__NAME": "gantry",
    "GANTRY_DATABASE__SEQUENCER_PASSWORD": None,
    # First part of the name of every log; it stands in every checkpoint, so it is chosen once.
    "GANTRY_AUDIT__INSTALLATION": None,
    "GANTRY_AUDIT__CHECKPOINT_KEY": None,
    # A directory, or s3://bucket/prefix, that only the sequencer may write.
    "GANTRY_AUDIT__CHECKPOINTS": None,
    "GANTRY_AUDIT__S3_ENDPOINT": "",
    "GANTRY_AUDIT__S3_REGION": "",
    "GANTRY_AUDIT__INTERVAL_S": "10",
    # `VERIFIER-KEY URL`, several with commas.
    "GANTRY_AUDIT__WITNESSES": "",
    "GANTRY_LOG__LEVEL": "INFO",
}


@dataclass(frozen=True, slots=True)
class SequencerEnvironment:
    """What the sequencer's process was given."""

    database: Mapping[str, Any] = field(repr=False)
    config: SequencerConfig
    log_level: str

    def connect(self) -> psycopg.Connection[Any]:
        """Connect as the sequencer's role."""
        return psycopg.connect(**self.database, autocommit=True, connect_timeout=10)


def parse_sequencer_environment(source: Mapping[str, str]) -> SequencerEnvironment:
    """Check the variables and build what they describe.

    Raises
    ------
    ConfigurationError
        A key of the sequencer is unknown, missing or has a bad value.
    """
    if unknown := sorted(key for key in source if key.startswith("GANTRY_AUDIT__") and key not in KEYS):
        raise ConfigurationError(f"unknown setting {unknown[0]}.")
    values: dict[str, str] = {}
    for key, default in KEYS.items():
        value = source.get(key, default)
        if value is None or (default is None and not value):
            raise ConfigurationError(f"{key} is not set; the sequencer has an environment of its own.")
        values[key] = value
    level = values["GANTRY_LOG__LEVEL"]
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ConfigurationError(f"GANTRY_LOG__LEVEL is {level!r}; it must be one of DEBUG, INFO, WARNING, ERROR.")
    installation = values["GANTRY_AUDIT__INSTALLATION"]
    if not installation.isascii() or not installation.isprintable() or " " in installation or "+" in installation:
        raise ConfigurationError("GANTRY_AUDIT__INSTALLATION is a name without spaces, such as gantry.example.org.")
    try:
        config = SequencerConfig(
            installation=installation,
            signer=Signer(_key(values["GANTRY_AUDIT__CHECKPOINT_KEY"])),
            copies=open_copies(
                values["GANTRY_AUDIT__CHECKPOINTS"],
                endpoint_url=values["GANTRY_AUDIT__S3_ENDPOINT"],
                region=values["GANTRY_AUDIT__S3_REGION"],
            ),
            interval_s=_number(values, "GANTRY_AUDIT__INTERVAL_S"),
            witnesses=[Witness.parse(text) for text in values["GANTRY_AUDIT__WITNESSES"].split(",") if text.strip()],
        )
    except NoteError as error:
        raise ConfigurationError(f"GANTRY_AUDIT__WITNESSES cannot be used: {error}.") from None
    except ValueError as error:
        raise ConfigurationError(f"GANTRY_AUDIT__INTERVAL_S cannot be used: {error}.") from None
    database = {
        "host": values["GANTRY_DATABASE__HOST"],
        "port": int(_number(values, "GANTRY_DATABASE__PORT")),
        "dbname": values["GANTRY_DATABASE__NAME"],
        "user": "gantry_sequencer",
        "password": values["GANTRY_DATABASE__SEQUENCER_PASSWORD"],
        "application_name": "gantry-sequencer",
        "options": "-c idle_in_transaction_session_timeout=60s",
    }
    return SequencerEnvironment(database=database, config=config, log_level=level)


def _key(text: str) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
    except ValueError:
        raise ConfigurationError("GANTRY_AUDIT__CHECKPOINT_KEY must be 32 bytes in hexadecimal.") from None


def _number(values: Mapping[str, str], key: str) -> float:
    try:
        return float(values[key])
    except ValueError:
        raise ConfigurationError(f"{key} is {values[key]!r}, not a number.") from None


def sequencer_environment(overrides: Mapping[str, str] | None = None) -> SequencerEnvironment:
    """Return this process's configuration; `overrides` stand in for variables that are not set."""
    return parse_sequencer_environment({**(overrides or {}), **os.environ})


def run() -> None:
    """Lead, or wait to lead, until SIGINT or SIGTERM."""
    import signal
    import threading

    from gantry.audit.sequencer import run_sequencer

    environment = sequencer_environment()
    _log_to_stderr(environment.log_level)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    run_sequencer(environment.connect, environment.config, stop)


def _log_to_stderr(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
