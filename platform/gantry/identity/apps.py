from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "gantry.identity"
    label = "identity"
