from django.apps import AppConfig


class StudiesConfig(AppConfig):
    name = "gantry.studies"
    label = "studies"
