from __future__ import annotations

import pytest
from cryptography.fernet import InvalidToken
from pytest_django.fixtures import Settings

from gantry.identity.sealing import seal, unseal


def test_secret_is_had_back_when_it_was_sealed_before_a_key_rotation(settings: Settings) -> None:
    sealed = seal("JBSWY3DPEHPK3PXP")
    assert "JBSWY3DPEHPK3PXP" not in sealed
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-" * 5
    assert unseal(sealed) == "JBSWY3DPEHPK3PXP"


def test_secret_is_refused_when_its_key_is_gone(settings: Settings) -> None:
    sealed = seal("JBSWY3DPEHPK3PXP")
    settings.SECRET_KEY = "another-key-" * 5
    with pytest.raises(InvalidToken):
        unseal(sealed)
