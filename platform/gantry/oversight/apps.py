from django.apps import AppConfig


class OversightConfig(AppConfig):
    name = "gantry.oversight"
    label = "oversight"
