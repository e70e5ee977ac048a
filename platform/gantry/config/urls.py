"""Every address of the control plane. Tenants are in the address: `/t/<tenant>/…`."""

from django.urls import include, path

urlpatterns = [
    path("accounts/", include("allauth.urls")),
]
