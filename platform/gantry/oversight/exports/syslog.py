"""Syslog over TLS, as audit repositories of hospitals take it (IHE ATNA ITI-20): RFC 5424 messages in RFC 5425 frames."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gantry.audit.public import LedgerEvent, Names, Recorder, format_time, to_messages

#: Facility 10 (security), severity 5 (notice), as ITI-20 asks.
_PRIORITY: Final = 10 * 8 + 5
_MESSAGE_ID: Final = "DICOM+RFC3881"
_BOM: Final = b"\xef\xbb\xbf"
#: `meta sequenceId` is a 31-bit number (RFC 5424 section 7.3.1).
_SEQUENCE: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where to, whom to believe, and what to show."""

    host: str
    port: int
    authorities_pem: str
    certificate_pem: str = ""
    private_key_pem: bytes = b""


class ReceiverError(Exception):
    """It could not be handed over; the sentence says why and holds nothing of the events."""


def to_syslog(event: LedgerEvent, recorder: Recorder, slug: str, names: Names) -> Iterator[bytes]:
    """Yield the frames of one event. `sequenceId` is its place in the log plus one, the same whenever it is sent."""
    sequence = event.index % _SEQUENCE + 1
    host = recorder.host.partition(":")[0]
    head = (
        f"<{_PRIORITY}>1 {format_time(event.occurred_at)} {_plain(host, 255)} gantry {_plain(slug, 128)} {_MESSAGE_ID} "
        f'[meta sequenceId="{sequence}"] '
    ).encode()
    for message in to_messages(event, recorder, names):
        body = head + _BOM + message
        yield str(len(body)).encode() + b" " + body


def send(receiver: Receiver, frames: Iterable[bytes], *, timeout_s: float = 20.0) -> None:
    """Hand frames over, and return once the receiver has closed its side after the last.

    RFC 5425 knows no acknowledgement. The nearest is that the receiver answers our close_notify, which TLS delivers
    after everything before it: so what returns without an error was read by the receiver's TLS, and what raises is to
    be sent again. `SSLSocket.unwrap` cannot be asked for this: OpenSSL takes a fatal alert, such as TLS 1.3's late "no
    certificate", for an answer to the close.

    Raises
    ------
    ReceiverError
    """
    try:
        context = _context(receiver)
        with socket.create_connection((receiver.host, receiver.port), timeout=timeout_s) as plain:
            channel = _Channel(plain, context, receiver.host)
            for frame in frames:
                channel.send(frame)
            channel.close()
    except ssl.SSLCertVerificationError as error:
        raise ReceiverError(f"The receiver's certificate was refused: {error.verify_message}.") from error
    except (OSError, ValueError) as error:
        raise ReceiverError(f"The receiver could not be reached ({type(error).__name__}).") from error


class _Channel:
    """TLS over a connected socket, whose incoming bytes are looked at only when we say so."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            else:
                break
        self._flush()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._tls.write(data)
        self._flush()

    def close(self) -> None:
        """Say that nothing more comes, and wait until the other side says the same; anything else raises."""
        with contextlib.suppress(ssl.SSLWantReadError):
            while self._tls.read(65536):  # what was said before, such as session tickets, or an alert
                pass
            raise ConnectionError("closed before it was told of the end")
        # Nothing is left to be read, so this only writes our close_notify.
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()
        while True:
            self._receive()
            try:
                if not self._tls.read(65536):
                    return
            except ssl.SSLZeroReturnError:
                return
            except ssl.SSLWantReadError:
                continue

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._plain.sendall(data)

    def _receive(self) -> None:
        data = self._plain.recv(65536)
        if not data:
            raise ConnectionError("closed without a word")
        self._incoming.write(data)


def check_certificates(receiver: Receiver) -> None:
    """Read the certificates as `send` would; raises `ssl.SSLError` (an `OSError`) or `ValueError` when they cannot be."""
    _context(receiver)


def _context(receiver: Receiver) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=receiver.authorities_pem)
    if receiver.certificate_pem:
        # OpenSSL reads a certificate's key from files alone: two that nobody else may read, for this moment.
        with tempfile.TemporaryDirectory(prefix="gantry-feed-") as folder:
            certificate, key = Path(folder) / "certificate.pem", Path(folder) / "key.pem"
            certificate.write_text(receiver.certificate_pem)
            os.close(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600))
            key.write_bytes(receiver.private_key_pem)
            context.load_cert_chain(certificate, key)
    return context


def _plain(text: str, longest: int) -> str:
    """Return a header field: visible ASCII without blanks, or the nil value."""
    return "".join(char for char in text if "!" <= char <= "~")[:longest] or "-"
