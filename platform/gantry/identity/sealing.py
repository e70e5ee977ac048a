"""Second-factor secrets are sealed before they are stored: a stolen database backup yields no codes."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac


def _fernet() -> MultiFernet:
    # The first key seals; fallbacks still open what was sealed before a rotation.
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    digests = (salted_hmac("gantry.identity.second_factor", "", secret=key, algorithm="sha256") for key in secrets)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest.digest())) for digest in digests])


def seal(text: str) -> str:
    """Return `text` encrypted and authenticated."""
    return _fernet().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """Return what was sealed; raises `cryptography.fernet.InvalidToken` where it was tampered with."""
    return _fernet().decrypt(sealed.encode()).decode()
