from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "gantry.access"
    label = "access"
