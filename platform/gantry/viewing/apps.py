from django.apps import AppConfig


class ViewingConfig(AppConfig):
    name = "gantry.viewing"
    label = "viewing"
