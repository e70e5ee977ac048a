"""An audit repository that takes syslog over TLS (RFC 5425), on loopback, with certificates of its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Identity:
    """A certificate signed by the test's authority, and its key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """Signs certificates."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._certificate = self._sign(self._name, self._key, is_authority=True, hosts=())

    @property
    def pem(self) -> str:
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name: str, *hosts: str) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, is_authority=False, hosts=hosts)
        return Identity(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool, hosts: tuple[str, ...]
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        names: list[x509.GeneralName] = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())


@dataclass
class Receiver:
    """What came: whole messages in order. `break_after` closes the connection hard after so many of a connection."""

    port: int
    messages: list[bytes] = field(default_factory=list)
    connections: int = 0
    break_after: int | None = None


@contextlib.contextmanager
def receiving(authority: Authority, folder: Path, *, asks_for_certificate: bool = False) -> Iterator[Receiver]:
    """Take messages for the length of the block."""
    identity = authority.issue("repository", "127.0.0.1", "localhost")
    (folder / "server.pem").write_bytes(identity.certificate + identity.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    if asks_for_certificate:
        context.load_verify_locations(cadata=authority.pem)
        context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    receiver = Receiver(listener.getsockname()[1])
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                plain, _ = listener.accept()
            except TimeoutError:
                continue
            plain.settimeout(10)
            with contextlib.suppress(OSError, ValueError), context.wrap_socket(plain, server_side=True) as secured:
                receiver.connections += 1
                _read(secured, receiver)

    thread = threading.Thread(target=serve, name="syslog")
    thread.start()
    try:
        yield receiver
    finally:
        stop.set()
        thread.join(20)
        listener.close()


def _read(secured: ssl.SSLSocket, receiver: Receiver) -> None:
    """Read frames until the sender closes; answer its close_notify, as TLS does by unwrapping."""
    buffer, count = b"", 0
    while data := secured.recv(65536):
        buffer += data
        while (blank := buffer.find(b" ")) > 0:
            length = int(buffer[:blank])
            if len(buffer) < blank + 1 + length:
                break
            receiver.messages.append(buffer[blank + 1 : blank + 1 + length])
            buffer, count = buffer[blank + 1 + length :], count + 1
            if receiver.break_after is not None and count >= receiver.break_after:
                secured.close()
                return
    secured.unwrap()
