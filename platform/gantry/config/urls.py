"""Every address of the control plane. Tenants are in the address: `/t/<tenant>/…`."""

from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView

from gantry.config.health import healthz, readyz
from gantry.oversight.api import fhir
from gantry.viewing import pages

handler404 = "gantry.viewing.pages.absent"

urlpatterns = [
    path("", pages.home, name="home"),
    path("healthz", healthz),
    path("readyz", readyz),
    path("api/schema.json", SpectacularJSONAPIView.as_view(urlconf="gantry.config.schema_urls"), name="schema"),
    path("accounts/", include("gantry.identity.urls")),
    path("t/<slug:tenant>/", pages.worklist, name="worklist"),
    path("t/<slug:tenant>/studies/<uuid:study_id>/", pages.viewer, name="viewer"),
    path("t/<slug:tenant>/api/v1/", include("gantry.config.api")),
    path("t/<slug:tenant>/fhir/AuditEvent", fhir.AuditEventView.as_view()),
    path("t/<slug:tenant>/fhir/AuditEvent/_search", fhir.AuditEventSearchView.as_view()),
    path("t/<slug:tenant>/fhir/metadata", fhir.CapabilityView.as_view()),
]
