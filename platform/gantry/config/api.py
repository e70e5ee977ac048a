"""The REST addresses of a tenant, gathered from the apps."""

from django.urls import path

from gantry.analyses.api import views as analyses
from gantry.analyses.api.stream import inference_events
from gantry.studies.api import views as studies
from gantry.viewing.api import views as viewing

urlpatterns = [
    path("me", viewing.MeView.as_view()),
    path("worklist/search", viewing.WorklistView.as_view()),
    path("studies/<uuid:study_id>", viewing.StudyView.as_view()),
    path("studies/<uuid:study_id>/series/<uuid:series_id>/render-session", viewing.RenderSessionView.as_view()),
    path("studies/<uuid:study_id>/complete", studies.CompletionView.as_view()),
    path("studies/<uuid:study_id>/referrals", studies.ReferralsView.as_view()),
    path("studies/<uuid:study_id>/referrals/<uuid:referral_id>", studies.ReferralView.as_view()),
    path("studies/<uuid:study_id>/analyses", analyses.StudyAnalysesView.as_view()),
    path("people", studies.PeopleView.as_view()),
    path("quarantine", studies.QuarantineView.as_view()),
    path("models", analyses.ModelsView.as_view()),
    path("inference", analyses.InferenceView.as_view()),
    path("inference/<uuid:analysis_id>", analyses.InferenceStateView.as_view()),
    path("inference/<uuid:analysis_id>/events", inference_events),
    path("findings/<uuid:finding_id>/contours", analyses.ContoursView.as_view()),
    path("findings/<uuid:finding_id>/review", analyses.ReviewView.as_view()),
]
