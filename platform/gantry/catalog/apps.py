from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "gantry.catalog"
    label = "catalog"
