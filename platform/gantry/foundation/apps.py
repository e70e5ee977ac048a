from django.apps import AppConfig


class FoundationConfig(AppConfig):
    name = "gantry.foundation"
    label = "foundation"
