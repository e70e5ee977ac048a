"""The process's one vault, built by the composition root."""

from __future__ import annotations

from gantry.vault.service import Vault, VaultConfig, build_vault

_vault: list[Vault] = []


def configure_vault(config: VaultConfig) -> None:
    """Build the vault that `get_vault` returns from now on (done once, by `gantry.config`)."""
    _vault[:] = [build_vault(config)]


def get_vault() -> Vault:
    """Return the process's vault."""
    return _vault[0]
