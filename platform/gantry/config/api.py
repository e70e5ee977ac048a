"""The REST addresses of a tenant, gathered from the apps."""

from django.urls import path

from gantry.access.api import views as access
from gantry.analyses.api import views as analyses
from gantry.analyses.api.stream import inference_events
from gantry.studies.api import granting
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
    # Grants and emergency access
    path("studies/<uuid:study_id>/grants", granting.GrantsView.as_view()),
    path("studies/<uuid:study_id>/grants/<uuid:grant_id>", granting.GrantView.as_view()),
    path("emergencies", granting.EmergenciesView.as_view()),
    path("emergencies/<uuid:emergency_id>", granting.EmergencyView.as_view()),
    path("emergencies/<uuid:emergency_id>/review", granting.EmergencyReviewView.as_view()),
    # Administration
    path("tenant", access.TenantView.as_view()),
    path("access-matrix", access.AccessMatrixView.as_view()),
    path("members", access.MembersView.as_view()),
    path("members/<uuid:member_id>", access.MemberView.as_view()),
    path("institutions", access.InstitutionsView.as_view()),
    path("institutions/<uuid:institution_id>", access.InstitutionView.as_view()),
    path("networks", access.NetworksView.as_view()),
    path("accounts", access.AccountsView.as_view()),
    path("accounts/<uuid:account_id>", access.AccountView.as_view()),
    path("accounts/<uuid:account_id>/tokens", access.TokensView.as_view()),
    path("accounts/<uuid:account_id>/tokens/<uuid:token_id>", access.TokenView.as_view()),
    path("accounts/<uuid:account_id>/tokens/<uuid:token_id>/rotation", access.TokenRotationView.as_view()),
    path("care-teams", access.CareTeamsView.as_view()),
    path("care-teams/<uuid:team_id>", access.CareTeamView.as_view()),
    path("support-sessions", access.SupportSessionsView.as_view()),
    path("support-sessions/<uuid:support_id>", access.SupportSessionView.as_view()),
    path("support-sessions/<uuid:support_id>/consent", access.SupportConsentView.as_view()),
]
