from django.apps import AppConfig


class AgreementsConfig(AppConfig):
    name = "gantry.agreements"
    label = "agreements"
