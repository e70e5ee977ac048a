"""From configuration to the parts that it describes."""

from __future__ import annotations

from gantry.config.env import Environment
from gantry.vault.public import VaultConfig


def vault_config(env: Environment) -> VaultConfig:
    """Return where this process's keys and objects lie."""
    in_directory, under_kms = env.objects_kind == "directory", env.keys_kind == "kms"
    return VaultConfig(
        kind="directory" if in_directory else "s3",
        objects_path=env.objects_directory if in_directory else None,
        keys_path=None if under_kms else env.keys_directory,
        endpoint_url=env.s3_endpoint or None,
        region=env.s3_region or None,
        bucket=env.s3_bucket or None,
        kms_key_id=(env.kms_key_id or None) if under_kms else None,
        key_bucket=(env.key_bucket or None) if under_kms else None,
    )
