"""What the OpenAPI document describes."""

from django.urls import include, path

import gantry.tenancy.openapi  # noqa: F401 - tells the document of the ways in

urlpatterns = [path("t/<slug:tenant>/api/v1/", include("gantry.config.api"))]
