"""What the OpenAPI document describes."""

from django.urls import include, path

urlpatterns = [path("t/<slug:tenant>/api/v1/", include("gantry.config.api"))]
