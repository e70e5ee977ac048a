"""The REST addresses of a tenant, gathered from the apps."""

from django.urls import path

from gantry.access.api import views as access
from gantry.agreements.api import views as agreements
from gantry.analyses.api import views as analyses
from gantry.analyses.api.stream import inference_events
from gantry.oversight.api import audit, duties, portability
from gantry.studies.api import destruction, granting
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
    # Duties towards people and authorities
    path("subject-requests", duties.SubjectRequestsView.as_view()),
    path("subject-requests/<uuid:request_id>", duties.SubjectRequestView.as_view()),
    path("subject-requests/<uuid:request_id>/steps", duties.SubjectRequestStepsView.as_view()),
    path("subject-requests/<uuid:request_id>/report", duties.SubjectRequestReportView.as_view()),
    path("incidents", duties.IncidentsView.as_view()),
    path("incidents/<uuid:incident_id>", duties.IncidentView.as_view()),
    path("incidents/<uuid:incident_id>/steps", duties.IncidentStepsView.as_view()),
    path("incidents/<uuid:incident_id>/notices", duties.IncidentNoticesView.as_view()),
    path("incidents/<uuid:incident_id>/reach", duties.IncidentReachView.as_view()),
    path("incidents/<uuid:incident_id>/form", duties.IncidentFormView.as_view()),
    path("records-of-processing", duties.RecordsOfProcessingView.as_view()),
    path("impact-assessment", duties.ImpactAssessmentView.as_view()),
    # Agreements
    path("agreements", agreements.AgreementsView.as_view()),
    path("agreements/templates", agreements.TemplatesView.as_view()),
    path("agreements/explain", agreements.ExplainView.as_view()),
    path("agreements/notices/<uuid:notice_id>", agreements.NoticeView.as_view()),
    path("agreements/<uuid:agreement_id>", agreements.AgreementView.as_view()),
    path("agreements/<uuid:agreement_id>/document", agreements.DocumentView.as_view()),
    path("agreements/<uuid:agreement_id>/review", agreements.ReviewView.as_view()),
    path("agreements/<uuid:agreement_id>/signature", agreements.SignatureView.as_view()),
    path("agreements/<uuid:agreement_id>/paper", agreements.PaperView.as_view()),
    path("agreements/<uuid:agreement_id>/papers/<slug:side>", agreements.SignedPaperView.as_view()),
    path("agreements/<uuid:agreement_id>/steps", agreements.StepsView.as_view()),
    path("agreements/<uuid:agreement_id>/disposition", agreements.DispositionView.as_view()),
    path("agreements/<uuid:agreement_id>/amendments", agreements.AmendmentsView.as_view()),
    path("agreements/<uuid:agreement_id>/effect", agreements.EffectView.as_view()),
    path("agreements/<uuid:agreement_id>/differences/<uuid:other_id>", agreements.DifferencesView.as_view()),
    path("subjects/<uuid:subject_id>/export", portability.SubjectExportView.as_view()),
    path("subjects/lookup", destruction.SubjectLookupView.as_view()),
    path("holds", destruction.HoldsView.as_view()),
    path("holds/<uuid:hold_id>/release", destruction.HoldReleaseView.as_view()),
    path("erasures", destruction.ErasuresView.as_view()),
    path("erasures/<uuid:erasure_id>", destruction.ErasureView.as_view()),
    path("erasures/<uuid:erasure_id>/confirmation", destruction.ErasureConfirmationView.as_view()),
    path("erasures/<uuid:erasure_id>/certificate", destruction.CertificateView.as_view()),
    path("retention", destruction.RetentionView.as_view()),
    path("retention/preview", destruction.RetentionPreviewView.as_view()),
    path("retention/runs", destruction.RetentionRunsView.as_view()),
    # The audit trail
    path("audit/exports", audit.ExportsView.as_view()),
    path("audit/exports/<uuid:export_id>", audit.ExportView.as_view()),
    path("audit/exports/<uuid:export_id>/bundle", audit.BundleView.as_view()),
    path("audit/who-saw", audit.WhoSawView.as_view()),
    path("audit/checkpoint", audit.CheckpointView.as_view()),
    path("audit/feed", audit.FeedView.as_view()),
    path("studies/<uuid:study_id>/presentations", audit.PresentationsView.as_view()),
]
