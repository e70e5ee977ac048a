"""Which audit event every way into the platform leaves: one line a route, message, job, clock and command.

A tuple names actions of `gantry.audit.vocabulary`, at least one of which a success leaves behind. `NONE` says why there is
nothing to record. `tests/architecture/test_audit_coverage.py` fails when something has no line here, and
`tests/isolation/test_routes.py` when a success did not leave what its line says.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NONE:
    """A reviewed "leaves no event", with the reason."""

    reason: str


Coverage = tuple[str, ...] | NONE

_FORM = NONE("A form without patient data; sending it is what is recorded.")
_ABOUT_ONESELF = NONE("Tells people about themselves and their organisation; holds no patient data.")
_SETTINGS = NONE("The organisation's own settings; holds no patient data.")
_SHELL = NONE("A page without patient data: its scripts fetch everything by REST, which records.")
_OPERATION = NONE("Tells machines whether the process works; holds no data of any tenant.")
_IN_SESSION = NONE("Within a viewing session whose opening was recorded (series.rendered).")
_SEARCHED, _SHOWN = ("studies.searched",), ("images.shown",)
_RETRIEVED = ("instances.retrieved", "transfer.begun")
_STORED = ("instances.stored", "instances.quarantined")
_SIGN_IN = ("sign_in.succeeded", "sign_in.failed", "sign_in.refused", "sign_in.locked")
_CODE = ("sign_in.succeeded", "second_factor.failed", "second_factor.refused")

#: Django's addresses: (method, path without the leading slash; converters as `{name}`).
ROUTES: dict[tuple[str, str], Coverage] = {
    ("GET", ""): _ABOUT_ONESELF,
    ("GET", "healthz"): _OPERATION,
    ("GET", "readyz"): _OPERATION,
    ("GET", "api/schema.json"): NONE("The description of the API, the same for everybody."),
    # Signing in, and one's own account
    ("GET", "accounts/login/"): _FORM,
    ("POST", "accounts/login/"): _SIGN_IN,
    ("GET", "accounts/logout/"): _FORM,
    ("POST", "accounts/logout/"): ("sign_out",),
    ("GET", "accounts/inactive/"): _FORM,
    ("GET", "accounts/reauthenticate/"): _FORM,
    ("POST", "accounts/reauthenticate/"): ("identity.confirmed", "sign_in.failed", "sign_in.refused"),
    ("GET", "accounts/password/change/"): _FORM,
    ("POST", "accounts/password/change/"): ("password.changed",),
    ("GET", "accounts/sessions/"): _ABOUT_ONESELF,
    ("POST", "accounts/sessions/end/"): ("session.ended", "session.others_ended"),
    ("GET", "accounts/2fa/"): _FORM,
    ("GET", "accounts/2fa/authenticate/"): _FORM,
    ("POST", "accounts/2fa/authenticate/"): _CODE,
    ("GET", "accounts/2fa/reauthenticate/"): _FORM,
    ("POST", "accounts/2fa/reauthenticate/"): ("identity.confirmed", "second_factor.failed", "second_factor.refused"),
    ("GET", "accounts/2fa/totp/activate/"): _FORM,
    ("POST", "accounts/2fa/totp/activate/"): ("second_factor.activated",),
    ("GET", "accounts/2fa/totp/deactivate/"): _FORM,
    ("POST", "accounts/2fa/totp/deactivate/"): ("second_factor.removed",),
    ("GET", "accounts/2fa/recovery-codes/"): ("recovery_codes.shown",),
    ("GET", "accounts/2fa/recovery-codes/generate/"): _FORM,
    ("POST", "accounts/2fa/recovery-codes/generate/"): ("recovery_codes.renewed",),
    # Pages of a tenant
    ("GET", "t/{tenant}/"): _SHELL,
    ("GET", "t/{tenant}/studies/{study_id}/"): _SHELL,
    # REST
    ("GET", "t/{tenant}/api/v1/me"): _ABOUT_ONESELF,
    ("GET", "t/{tenant}/api/v1/models"): NONE("The models put to use; holds no patient data."),
    ("GET", "t/{tenant}/api/v1/people"): NONE("Colleagues to refer to; holds no patient data."),
    ("POST", "t/{tenant}/api/v1/worklist/search"): _SEARCHED,
    ("GET", "t/{tenant}/api/v1/studies/{study_id}"): ("study.opened",),
    ("POST", "t/{tenant}/api/v1/studies/{study_id}/series/{series_id}/render-session"): ("series.rendered",),
    ("GET", "t/{tenant}/api/v1/studies/{study_id}/analyses"): ("ai_results.shown", "analysis.read"),
    ("POST", "t/{tenant}/api/v1/studies/{study_id}/complete"): ("study.completed", "study.opened"),
    ("POST", "t/{tenant}/api/v1/studies/{study_id}/referrals"): ("study.referred",),
    ("DELETE", "t/{tenant}/api/v1/studies/{study_id}/referrals/{referral_id}"): ("referral.withdrawn",),
    ("GET", "t/{tenant}/api/v1/quarantine"): ("quarantine.listed",),
    ("POST", "t/{tenant}/api/v1/subjects/lookup"): ("patients.looked_up",),
    ("GET", "t/{tenant}/api/v1/subjects/{subject_id}/export"): ("patient.exported",),
    ("GET", "t/{tenant}/api/v1/holds"): ("holds.listed",),
    ("POST", "t/{tenant}/api/v1/holds"): ("hold.placed",),
    ("POST", "t/{tenant}/api/v1/holds/{hold_id}/release"): ("hold.released",),
    ("GET", "t/{tenant}/api/v1/erasures"): ("erasures.listed",),
    ("POST", "t/{tenant}/api/v1/erasures"): ("erasure.planned",),
    ("GET", "t/{tenant}/api/v1/erasures/{erasure_id}"): ("erasures.listed",),
    ("DELETE", "t/{tenant}/api/v1/erasures/{erasure_id}"): ("erasure.withdrawn",),
    ("POST", "t/{tenant}/api/v1/erasures/{erasure_id}/confirmation"): ("erasure.confirmed",),
    ("GET", "t/{tenant}/api/v1/erasures/{erasure_id}/certificate"): ("erasures.listed",),
    ("GET", "t/{tenant}/api/v1/retention"): NONE("When destruction ran and runs; holds no patient data."),
    ("GET", "t/{tenant}/api/v1/retention/preview"): ("retention.previewed",),
    ("GET", "t/{tenant}/api/v1/retention/runs"): ("retention.listed",),
    ("POST", "t/{tenant}/api/v1/inference"): ("analysis.started",),
    ("GET", "t/{tenant}/api/v1/inference/{analysis_id}"): ("ai_results.shown", "analysis.read"),
    ("GET", "t/{tenant}/api/v1/inference/{analysis_id}/events"): ("ai_results.shown", "analysis.read"),
    ("GET", "t/{tenant}/api/v1/findings/{finding_id}/contours"): ("ai_outlines.shown",),
    ("POST", "t/{tenant}/api/v1/findings/{finding_id}/review"): ("finding.accept", "finding.reject", "finding.reopen"),
    # Duties towards people and authorities
    ("GET", "t/{tenant}/api/v1/subject-requests"): ("subject_request.read",),
    ("POST", "t/{tenant}/api/v1/subject-requests"): ("subject_request.received",),
    ("GET", "t/{tenant}/api/v1/subject-requests/{request_id}"): ("subject_request.read",),
    ("POST", "t/{tenant}/api/v1/subject-requests/{request_id}/steps"): ("subject_request.advanced",),
    ("GET", "t/{tenant}/api/v1/subject-requests/{request_id}/report"): ("patient.traced", "subject_report.made"),
    ("GET", "t/{tenant}/api/v1/incidents"): ("incident.read",),
    ("POST", "t/{tenant}/api/v1/incidents"): ("incident.opened",),
    ("GET", "t/{tenant}/api/v1/incidents/{incident_id}"): ("incident.read",),
    ("PATCH", "t/{tenant}/api/v1/incidents/{incident_id}"): ("incident.changed",),
    ("POST", "t/{tenant}/api/v1/incidents/{incident_id}/steps"): (
        "incident.assessed",
        "incident.closed",
        "incident.reopened",
    ),
    ("POST", "t/{tenant}/api/v1/incidents/{incident_id}/notices"): ("incident.notified",),
    ("POST", "t/{tenant}/api/v1/incidents/{incident_id}/reach"): ("audit.read",),
    ("GET", "t/{tenant}/api/v1/incidents/{incident_id}/form"): ("incident.form_made",),
    ("GET", "t/{tenant}/api/v1/records-of-processing"): ("records_of_processing.made",),
    ("GET", "t/{tenant}/api/v1/impact-assessment"): ("impact_assessment.made",),
    # Grants and emergency access
    ("GET", "t/{tenant}/api/v1/studies/{study_id}/grants"): ("grants.listed",),
    ("POST", "t/{tenant}/api/v1/studies/{study_id}/grants"): ("study.shared",),
    ("DELETE", "t/{tenant}/api/v1/studies/{study_id}/grants/{grant_id}"): ("grant.withdrawn",),
    ("GET", "t/{tenant}/api/v1/emergencies"): ("emergencies.listed",),
    ("POST", "t/{tenant}/api/v1/emergencies"): ("emergency.opened",),
    ("DELETE", "t/{tenant}/api/v1/emergencies/{emergency_id}"): ("emergency.ended",),
    ("POST", "t/{tenant}/api/v1/emergencies/{emergency_id}/review"): ("emergency.reviewed",),
    # Administration
    ("GET", "t/{tenant}/api/v1/agreements"): _SETTINGS,
    ("POST", "t/{tenant}/api/v1/agreements"): ("agreement.drafted",),
    ("GET", "t/{tenant}/api/v1/agreements/templates"): _SETTINGS,
    ("POST", "t/{tenant}/api/v1/agreements/explain"): ("agreement.asked",),
    ("POST", "t/{tenant}/api/v1/agreements/notices/{notice_id}"): ("transfer_notice.given",),
    ("GET", "t/{tenant}/api/v1/agreements/{agreement_id}"): _SETTINGS,
    ("PUT", "t/{tenant}/api/v1/agreements/{agreement_id}"): ("agreement.edit",),
    ("GET", "t/{tenant}/api/v1/agreements/{agreement_id}/document"): ("agreement.read",),
    ("POST", "t/{tenant}/api/v1/agreements/{agreement_id}/review"): ("agreement.review",),
    ("POST", "t/{tenant}/api/v1/agreements/{agreement_id}/signature"): ("agreement.sign", "agreement.countersign"),
    ("POST", "t/{tenant}/api/v1/agreements/{agreement_id}/paper"): ("agreement.sign", "agreement.countersign"),
    ("GET", "t/{tenant}/api/v1/agreements/{agreement_id}/papers/{side}"): ("agreement.read",),
    ("POST", "t/{tenant}/api/v1/agreements/{agreement_id}/steps"): (
        "agreement.suspend",
        "agreement.resume",
        "agreement.terminate",
        "agreement.withdraw",
    ),
    ("POST", "t/{tenant}/api/v1/agreements/{agreement_id}/disposition"): ("agreement.end_chosen",),
    ("POST", "t/{tenant}/api/v1/agreements/{agreement_id}/amendments"): ("agreement.drafted",),
    ("GET", "t/{tenant}/api/v1/agreements/{agreement_id}/effect"): _SETTINGS,
    ("GET", "t/{tenant}/api/v1/agreements/{agreement_id}/differences/{other_id}"): _SETTINGS,
    ("GET", "t/{tenant}/api/v1/tenant"): _SETTINGS,
    ("GET", "t/{tenant}/api/v1/access-matrix"): _SETTINGS,
    ("GET", "t/{tenant}/api/v1/members"): _SETTINGS,
    ("POST", "t/{tenant}/api/v1/members"): ("member.added",),
    ("PATCH", "t/{tenant}/api/v1/members/{member_id}"): ("member.changed", "member.ended"),
    ("GET", "t/{tenant}/api/v1/institutions"): _SETTINGS,
    ("POST", "t/{tenant}/api/v1/institutions"): ("institution.created",),
    ("PATCH", "t/{tenant}/api/v1/institutions/{institution_id}"): ("institution.changed",),
    ("GET", "t/{tenant}/api/v1/networks"): _SETTINGS,
    ("PUT", "t/{tenant}/api/v1/networks"): ("networks.changed",),
    ("GET", "t/{tenant}/api/v1/accounts"): _SETTINGS,
    ("POST", "t/{tenant}/api/v1/accounts"): ("account.created",),
    ("DELETE", "t/{tenant}/api/v1/accounts/{account_id}"): ("account.ended",),
    ("POST", "t/{tenant}/api/v1/accounts/{account_id}/tokens"): ("token.issued",),
    ("DELETE", "t/{tenant}/api/v1/accounts/{account_id}/tokens/{token_id}"): ("token.revoked",),
    ("POST", "t/{tenant}/api/v1/accounts/{account_id}/tokens/{token_id}/rotation"): ("token.rotated",),
    ("GET", "t/{tenant}/api/v1/care-teams"): _SETTINGS,
    ("POST", "t/{tenant}/api/v1/care-teams"): ("care_team.created",),
    ("PATCH", "t/{tenant}/api/v1/care-teams/{team_id}"): ("care_team.changed",),
    ("GET", "t/{tenant}/api/v1/support-sessions"): _SETTINGS,
    ("DELETE", "t/{tenant}/api/v1/support-sessions/{support_id}"): ("support.ended",),
    ("PUT", "t/{tenant}/api/v1/support-sessions/{support_id}/consent"): ("support.consented",),
    # The audit trail
    ("GET", "t/{tenant}/api/v1/audit/exports"): NONE("Exports that were asked for, each of which was recorded."),
    ("POST", "t/{tenant}/api/v1/audit/exports"): ("audit.export_requested",),
    ("GET", "t/{tenant}/api/v1/audit/exports/{export_id}"): NONE("How far an export is; asking for it was recorded."),
    ("DELETE", "t/{tenant}/api/v1/audit/exports/{export_id}"): ("audit.export_cancelled",),
    ("GET", "t/{tenant}/api/v1/audit/exports/{export_id}/bundle"): ("audit.export_downloaded",),
    ("POST", "t/{tenant}/api/v1/audit/who-saw"): ("patient.traced",),
    ("GET", "t/{tenant}/api/v1/audit/checkpoint"): ("audit.read",),
    ("GET", "t/{tenant}/api/v1/audit/feed"): NONE("Where events are sent and how far that is; holds no event."),
    ("PUT", "t/{tenant}/api/v1/audit/feed"): ("audit.feed_changed",),
    ("DELETE", "t/{tenant}/api/v1/audit/feed"): ("audit.feed_changed",),
    ("GET", "t/{tenant}/api/v1/studies/{study_id}/presentations"): ("presentation.read",),
    ("GET", "t/{tenant}/fhir/AuditEvent"): ("audit.read",),
    ("POST", "t/{tenant}/fhir/AuditEvent/_search"): ("audit.read",),
    ("GET", "t/{tenant}/fhir/metadata"): NONE("What the server can do; the same for everybody."),
}

_STUDY = "/studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
#: The DICOM door's addresses, below `/t/{tenant}/dicomweb`.
DICOMWEB: dict[tuple[str, str], Coverage] = {
    ("POST", "/studies"): _STORED,
    ("POST", _STUDY): _STORED,
    ("GET", "/studies"): _SEARCHED,
    ("GET", "/series"): ("series.searched",),
    ("GET", f"{_STUDY}/series"): ("series.searched",),
    ("GET", _STUDY): _RETRIEVED,
    ("GET", _SERIES): _RETRIEVED,
    ("GET", _INSTANCE): _RETRIEVED,
    ("GET", f"{_STUDY}/rendered"): _SHOWN,
    ("GET", f"{_SERIES}/rendered"): _SHOWN,
    ("GET", f"{_INSTANCE}/rendered"): _SHOWN,
    ("GET", f"{_INSTANCE}/frames/{{frame}}/rendered"): _SHOWN,
    ("GET", f"{_STUDY}/thumbnail"): _SHOWN,
    ("GET", f"{_SERIES}/thumbnail"): _SHOWN,
    ("GET", f"{_INSTANCE}/thumbnail"): _SHOWN,
    ("GET", f"{_INSTANCE}/frames/{{frame}}/thumbnail"): _SHOWN,
}

#: What render pods ask.
INTERNAL: dict[str, Coverage] = {
    "/internal/render/v1/redeem": ("series.rendered",),
    "/internal/render/v1/lease": NONE("Renews what was opened; a session that ends by it is recorded."),
    "/internal/render/v1/refused": ("render_ticket.refused",),
    "/internal/render/v1/release": NONE("Gives back what was opened; shows nobody anything."),
}

#: WebSockets: address, then what a client may send. `""` is the opening itself.
SOCKETS: dict[str, dict[str, Coverage]] = {
    "t/{tenant}/ws/v1/events": {
        "": NONE("Says nothing before a stream is subscribed to."),
        "ping": NONE("Answered with a pong."),
        "subscribe": ("stream.followed",),
        "unsubscribe": NONE("Ends what was recorded."),
    },
    "t/{tenant}/render/v1/{series_id}": {
        "": NONE("Reaches a render pod, which shows nothing before it redeems a ticket (internal redeem records)."),
        **dict.fromkeys(("hello", "view", "drop", "ack", "probe", "ping"), _IN_SESSION),
    },
}

JOBS: dict[str, Coverage] = {
    "studies.pack_study": NONE("Puts one job a series on the queue; each of those records."),
    "studies.pack_series": ("series.packing", "series.packed"),
    "studies.plan_end": ("erasure.planned",),
    "studies.erase": ("study.erased", "patient.erased", "erasure.completed", "erasure.stopped"),
    "analyses.select": ("analysis.started", "analysis.not_applicable"),
    "oversight.export": ("audit.exported", "audit.export_failed"),
    "oversight.forget_exports": ("audit.export_destroyed",),
    "analyses.run": ("analysis.claimed", "analysis.finished", "analysis.failed"),
}

COMMANDS: dict[str, Coverage] = {
    "up": _OPERATION,
    "down": _OPERATION,
    "status": _OPERATION,
    "doctor": _OPERATION,
    "worker": NONE("Runs jobs, each of which has its own line."),
    "sequencer": NONE("Numbers and signs the events of others; may add none itself."),
    "audit verify": NONE("Reads a file that somebody was given; touches no installation."),
    "audit status": _OPERATION,
    "audit checkpoint": NONE("Signs what is recorded already; the request is a row that stays."),
    "audit check": NONE("Compares hashes; shows no event."),
    "audit reopen": NONE("Leaves a generation that stays, with its reason, in the name of every later checkpoint."),
    "migrate": NONE("Changes the schema; runs before the trail can be written."),
    "import": NONE("A client of STOW-RS: the server records what it stores."),
    "demo load": NONE("A client of the services, which record."),
    "backup run": ("backup.taken",),
    "backup follow": NONE("Copies what changed; holds sealed bytes alone, and shows nobody anything."),
    "backup list": NONE("Names of backups, for the operator; holds no patient data."),
    "backup verify": NONE("Checks sealed pieces; shows nobody anything."),
    "backup prune": NONE("Removes old backups; those of the database are sealed."),
    "backup drill": NONE("Restores beside the running system and removes it again; the copy records its restore."),
    "restore": ("system.restored",),
    "privacy request list": ("subject_request.read",),
    "privacy request open": ("subject_request.received",),
    "privacy request show": ("subject_request.read",),
    "privacy request step": ("subject_request.advanced",),
    "privacy request report": ("patient.traced", "subject_report.made"),
    "privacy incident list": ("incident.read",),
    "privacy incident open": ("incident.opened",),
    "privacy incident assess": ("incident.assessed",),
    "privacy incident told": ("incident.notified",),
    "privacy incident close": ("incident.closed",),
    "privacy incident form": ("incident.form_made",),
    "privacy records": ("records_of_processing.made",),
    "privacy assessment": ("impact_assessment.made",),
    "export patient": ("patient.exported",),
    "export tenant": ("tenant.exported", "patient.exported"),
    "hold place": ("hold.placed",),
    "hold release": ("hold.released",),
    "hold list": ("holds.listed",),
    "erasure find": ("patients.looked_up",),
    "erasure plan": ("erasure.planned",),
    "erasure confirm": ("erasure.confirmed", "erasure.completed"),
    "erasure withdraw": ("erasure.withdrawn",),
    "erasure list": ("erasures.listed",),
    "erasure show": ("erasures.listed",),
    "erasure certificate": ("erasures.listed",),
    "erasure verify": NONE("Checks a file that somebody has; needs no stack and shows nothing else."),
    "retention status": NONE("When destruction ran last; holds no patient data."),
    "retention preview": ("retention.previewed",),
    "retention run": ("retention.run",),
    "retention list": ("retention.listed",),
    "tenant create": ("tenant.created",),
    "tenant list": NONE("Names of tenants, for the operator; holds no patient data."),
    "token create": ("token.issued",),
    "token revoke": ("token.revoked",),
    "tenant networks": ("networks.changed",),
    "tenant password": ("password.changed",),
    "tenant member add": ("member.added",),
    "tenant member list": _SETTINGS,
    "tenant member change": ("member.changed", "member.ended"),
    "tenant institution add": ("institution.created",),
    "tenant institution list": _SETTINGS,
    "token list": _SETTINGS,
    "token rotate": ("token.rotated",),
    "agreement list": _SETTINGS,
    "agreement show": ("agreement.read",),
    "agreement draft": ("agreement.drafted",),
    "agreement edit": ("agreement.edit",),
    "agreement review": ("agreement.review",),
    "agreement sign": ("agreement.sign", "agreement.countersign"),
    "agreement amend": ("agreement.drafted",),
    "agreement suspend": ("agreement.suspend",),
    "agreement resume": ("agreement.resume",),
    "agreement terminate": ("agreement.terminate",),
    "agreement withdraw": ("agreement.withdraw",),
    "agreement diff": _SETTINGS,
    "agreement effect": _SETTINGS,
    "agreement explain": ("agreement.asked",),
    "agreement pdf": ("agreement.read",),
    "agreement notice": ("transfer_notice.given",),
    "access matrix": NONE("The matrix is the same for every tenant and no secret."),
    "access break-glass list": ("emergencies.listed",),
    "access break-glass review": ("emergency.reviewed",),
    "access break-glass end": ("emergency.ended",),
    "support operator": ("person.created", "password.changed"),
    "support open": ("support.opened",),
    "support list": _SETTINGS,
    "support consent": ("support.consented",),
    "support end": ("support.ended",),
    "keys status": NONE("Counts of keys and the version of the newest; no key is shown."),
    "keys rotate": ("keys.rotation_ordered", "keys.rotated"),
    "keys rewrap": ("keys.rotation_ordered", "keys.rotated"),
    "keys destroy": ("keys.destruction_ordered", "keys.destroyed"),
    "audit export": ("audit.export_requested",),
    "audit who-saw": ("patient.traced",),
    "audit coverage": NONE("This very table; holds no data."),
    "audit feed": ("audit.feed_changed",),
}
