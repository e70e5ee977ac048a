from django.apps import AppConfig


class AnalysesConfig(AppConfig):
    name = "gantry.analyses"
    label = "analyses"
