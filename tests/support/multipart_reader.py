"""Reading multipart/related answers without our own code."""

from __future__ import annotations

import email.parser
import email.policy

import httpx


def read_parts(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Return content type and bytes of each part, as Python's own e-mail parser finds them (RFC 2046)."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + answer.content)
    assert message.is_multipart(), "not multipart"
    parts = []
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        parts.append((part["Content-Type"], content))
    return parts
