from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """The composition root: wires what lower parts leave open."""

    name = "gantry.config"
    label = "gantry_config"

    def ready(self) -> None:
        from gantry.audit.public import record_refusal
        from gantry.config.env import environment
        from gantry.config.telemetry import configure_telemetry
        from gantry.config.wiring import vault_config
        from gantry.foundation.boundary import set_refusal_recorder
        from gantry.vault.public import configure_vault

        set_refusal_recorder(record_refusal)
        configure_vault(vault_config(environment()))
        configure_telemetry()
