from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "gantry.tenancy"
    label = "tenancy"
