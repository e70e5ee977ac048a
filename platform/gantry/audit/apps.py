from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "gantry.audit"
    label = "audit"
