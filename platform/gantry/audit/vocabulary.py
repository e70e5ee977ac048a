"""Every action that the audit trail knows: its kind, what it says to a person, and how standards call it.

Whoever records a new action adds its line here, sorted into the part it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from gantry.audit.domain import Kind
from gantry.kernel.vocabulary import Activity, AdminPermission

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Act:
    """What one action is.

    Parameters
    ----------
    kind
        The event kind (PS3.15 A.5.3, and what is composed from those).
    sentence
        What happened, as a compliance officer reads it; no names, no identifiers.
    crud
        FHIR `AuditEvent.action`: C, R, U, D or E.
    type_code
        PS3.16 CID 403 (security alerts, configuration) or CID 402 (sign-in): the event's type code.
    shows_ai
        A result of AI was put before somebody (the presentation ledger, DESIGN.md §5).
    """

    kind: Kind
    sentence: str
    crud: str = "E"
    type_code: str = ""
    shows_ai: bool = False


K = Kind
#: PS3.16 CID 402 and CID 403.
LOGIN, LOGOUT = "110122", "110123"
USE_OF_RESTRICTED_FUNCTION, OBJECT_SECURITY_CHANGED = "110132", "110135"
SECURITY_CONFIGURATION, ROLES_CHANGED, USER_SECURITY_CHANGED = "110129", "110136", "110137"
EMERGENCY_STARTED, EMERGENCY_STOPPED = "110127", "110138"
SERVICE_STARTED, SERVICE_STOPPED = "110139", "110140"
SOFTWARE_CONFIGURATION, NODE_AUTHENTICATION = "110131", "110126"


def _accessed(sentence: str, crud: str = "R", *, shows_ai: bool = False) -> Act:
    return Act(K.ACCESSED, sentence, crud, shows_ai=shows_ai)


def _configured(sentence: str, crud: str = "U", type_code: str = SECURITY_CONFIGURATION) -> Act:
    return Act(K.CONFIGURATION, sentence, crud, type_code)


def _alert(sentence: str, type_code: str = USE_OF_RESTRICTED_FUNCTION) -> Act:
    return Act(K.SECURITY_ALERT, sentence, "E", type_code)


def _sign_in(sentence: str, type_code: str = LOGIN) -> Act:
    return Act(K.AUTHENTICATION, sentence, "E", type_code)


IDENTITY = {
    "sign_in.succeeded": _sign_in("A person signed in."),
    "sign_in.failed": _sign_in("A sign-in failed: the address or the password was not right."),
    "sign_in.refused": _sign_in("A sign-in was refused before the password was looked at."),
    "sign_in.locked": _sign_in("An account or a network was locked after too many failed sign-ins."),
    "second_factor.failed": _sign_in("A sign-in failed at the second factor."),
    "second_factor.refused": _sign_in("A second factor was refused before it was looked at."),
    "password.failed": _sign_in("A signed-in person gave a wrong password."),
    "password.refused": _sign_in("A signed-in person's password was refused before it was looked at."),
    "sign_out": _sign_in("A person signed out.", LOGOUT),
    "identity.confirmed": _sign_in("A signed-in person proved again who they are."),
    "session.timed_out": _sign_in("A session ended by itself: left alone, or too old.", LOGOUT),
    "session.ended": _sign_in("A person ended one of their sessions.", LOGOUT),
    "session.others_ended": _sign_in("A person ended all their other sessions.", LOGOUT),
    "session.all_ended": _sign_in("All sessions of a person were ended.", LOGOUT),
    "person.created": _configured("A person was made who can sign in.", "C", USER_SECURITY_CHANGED),
    "password.changed": _configured("A password was changed.", "U", USER_SECURITY_CHANGED),
    "second_factor.activated": _configured("A second factor was set up.", "C", USER_SECURITY_CHANGED),
    "second_factor.removed": _configured("A second factor was removed.", "D", USER_SECURITY_CHANGED),
    "recovery_codes.shown": _configured("A person looked at their recovery codes.", "R", USER_SECURITY_CHANGED),
    "recovery_codes.renewed": _configured("Recovery codes were renewed.", "U", USER_SECURITY_CHANGED),
}
TENANCY = {
    "tenant.created": _configured("A tenant was made.", "C"),
    "institution.created": _configured("A hospital was added to the group.", "C"),
    "member.added": _configured("A person became a member.", "C", ROLES_CHANGED),
    "member.ended": _configured("A membership was ended.", "D", ROLES_CHANGED),
    "token.issued": _configured("An access token was issued.", "C", USER_SECURITY_CHANGED),
    "token.revoked": _configured("An access token was revoked.", "D", USER_SECURITY_CHANGED),
    "token.rotated": _configured("An access token was replaced by a new one.", "U", USER_SECURITY_CHANGED),
    "account.created": _configured("A service account was made.", "C", USER_SECURITY_CHANGED),
    "account.ended": _configured("A service account was ended.", "D", USER_SECURITY_CHANGED),
    "member.changed": _configured("A member's role or institutions were changed.", "U", ROLES_CHANGED),
    "institution.changed": _configured("An institution was renamed or made the default."),
    "networks.changed": _configured("The networks that say where somebody is were changed."),
    "keys.rotation_ordered": _configured("It was ordered to put the organisation's keys under a new one."),
    "keys.rotated": _configured("The organisation's keys lie under a new one; the old one is gone."),
    "keys.destruction_ordered": _configured("It was ordered to destroy all keys of the organisation.", "D"),
    "keys.destroyed": _configured("All keys of the organisation were destroyed.", "D"),
    "care_team.created": _configured("A care team was made.", "C", ROLES_CHANGED),
    "care_team.changed": _configured("A care team was renamed, filled anew or ended.", "U", ROLES_CHANGED),
    "support.opened": _configured("An operator of the platform opened a support session.", "C", ROLES_CHANGED),
    "support.consented": _configured("The organisation said what support may be shown.", "U", ROLES_CHANGED),
    "support.ended": _configured("A support session was ended.", "D", ROLES_CHANGED),
}
AGREEMENTS = {
    "agreement.drafted": _configured("A data processing agreement was drafted.", "C"),
    "agreement.edit": _configured("A draft of a data processing agreement was changed.", "U"),
    "agreement.review": _configured("A data processing agreement was declared ready to be signed.", "U"),
    "agreement.sign": _configured("One side signed a data processing agreement.", "U"),
    "agreement.countersign": _configured("The other side signed a data processing agreement.", "U"),
    "agreement.enter": _configured("A data processing agreement entered into force.", "U"),
    "agreement.enter_suspended": _configured(
        "A version of a data processing agreement took the place of a suspended one, and is suspended, too.", "U"
    ),
    "agreement.suspend": _configured("A data processing agreement was suspended.", "U"),
    "agreement.resume": _configured("A suspended data processing agreement was put in force again.", "U"),
    "agreement.supersede": _configured("A newer version took the place of a data processing agreement.", "U"),
    "agreement.terminate": _configured("A data processing agreement was terminated.", "U"),
    "agreement.expire": _configured("A data processing agreement came to its end.", "U"),
    "agreement.withdraw": _configured(
        "A version of a data processing agreement was given up before it was signed.", "U"
    ),
    "agreement.end_chosen": _configured("It was chosen what becomes of the data after an agreement's end.", "U"),
    "agreement.reminded": _configured("It was told that a data processing agreement will end.", "E"),
    "agreement.asked": _configured("It was asked what an agreement permits.", "R"),
    "agreement.read": _configured("The document of a data processing agreement was read.", "R"),
    "transfer_notice.given": _configured("The notice of a standard contract to the authority was recorded.", "U"),
    "transfer_notice.due": _configured("The notice of a standard contract to the authority is due.", "E"),
}
CATALOG = {
    "model.deployed": _configured("A model version was put to use, or its phase changed.", "U", SOFTWARE_CONFIGURATION),
}
STUDIES = {
    "instances.stored": Act(K.TRANSFERRED, "Images were received and stored.", "C"),
    "instances.quarantined": Act(K.TRANSFERRED, "Objects were received and put in quarantine.", "C"),
    "transfer.begun": Act(K.TRANSFERRED, "Images began to be sent to another system.", "R"),
    "transfer.finished": Act(K.TRANSFERRED, "Images were sent to another system.", "R"),
    "transfer.broken": Act(K.TRANSFERRED, "Images were being sent to another system, which did not get all.", "R"),
    "instances.retrieved": _accessed("Images were read."),
    "images.shown": _accessed("Pictures were drawn from images."),
    "study.opened": _accessed("A study was opened."),
    "study.completed": _accessed("A study was declared complete.", "U"),
    "studies.searched": Act(K.QUERY, "Studies were searched."),
    "series.searched": Act(K.QUERY, "Series were searched."),
    "quarantine.listed": Act(K.QUERY, "The quarantine was listed."),
    "series.packing": _accessed("Images of a series were read to prepare it for the viewer."),
    "series.packed": _accessed("A series was prepared for the viewer.", "C"),
    "study.referred": Act(K.DISCLOSURE, "A study was referred to a physician.", "R", OBJECT_SECURITY_CHANGED),
    "study.shared": Act(
        K.DISCLOSURE, "A study or a patient was shared with a person or a care team.", "R", OBJECT_SECURITY_CHANGED
    ),
    "grants.listed": Act(K.QUERY, "It was asked who sees a study by a grant."),
    "grant.withdrawn": _configured("A grant on a study or a patient was withdrawn.", "D", OBJECT_SECURITY_CHANGED),
    "emergency.sought": _alert("Somebody asked for emergency access to a patient.", EMERGENCY_STARTED),
    "emergency.opened": _alert("Somebody broke the glass: emergency access to a patient began.", EMERGENCY_STARTED),
    "emergency.ended": _alert("Emergency access to a patient ended.", EMERGENCY_STOPPED),
    "emergency.reviewed": _configured("Emergency access was reviewed.", "U", OBJECT_SECURITY_CHANGED),
    "emergencies.listed": Act(K.QUERY, "Emergency accesses were listed for review."),
    "referral.withdrawn": _configured("A referral was withdrawn.", "D", OBJECT_SECURITY_CHANGED),
}
DESTRUCTION = {
    "hold.placed": _configured("A legal hold was placed on a patient or a study.", "C"),
    "hold.released": _configured("A legal hold was released.", "U"),
    "holds.listed": Act(K.QUERY, "Legal holds were listed."),
    "patients.looked_up": Act(
        K.QUERY, "A patient was looked up by number or study, to be held, erased or given their data."
    ),
    "erasure.planned": _configured("It was listed what an erasure would destroy.", "C"),
    "erasure.confirmed": _configured("The plan of an erasure was confirmed.", "U"),
    "erasure.withdrawn": _configured("The plan of an erasure was withdrawn.", "U"),
    "erasure.stopped": _configured("An erasure was stopped before anything was destroyed.", "U"),
    "erasure.completed": _configured("An erasure was completed: objects, rows and keys are destroyed.", "D"),
    "erasures.listed": Act(K.QUERY, "Erasures or a certificate were looked at."),
    "study.erased": _accessed("A study was erased.", "D"),
    "study.partly_erased": _accessed("Images or results of a study were erased; the rest of it stays.", "D"),
    "quarantine.erased": _accessed("Objects in quarantine were erased.", "D"),
    "patient.erased": _accessed("A patient was erased.", "D"),
    "patient.exported": Act(K.EXPORT, "A patient's data were exported, to be given to them or to the controller.", "R"),
    "tenant.exported": Act(K.EXPORT, "All data of the organisation were exported, to be returned.", "R"),
    "retention.previewed": Act(K.QUERY, "It was listed what scheduled destruction would destroy."),
    "retention.run": _configured("Scheduled destruction was run.", "D"),
    "retention.overdue": _alert("Scheduled destruction has not run for longer than the law allows."),
    "retention.listed": Act(K.QUERY, "Runs of scheduled destruction were looked at."),
}
OPERATIONS = {
    "backup.taken": _configured("A backup was taken.", "R", SOFTWARE_CONFIGURATION),
    "system.restored": _configured("The installation was restored from a backup.", "U", SOFTWARE_CONFIGURATION),
}
ANALYSES = {
    "analysis.started": Act(K.INFERENCE, "An analysis by AI was started.", "E"),
    "analysis.claimed": Act(K.INFERENCE, "A worker took an analysis and read its images.", "R"),
    "analysis.finished": Act(K.INFERENCE, "An analysis by AI was finished; its results are available.", "C"),
    "analysis.failed": Act(K.INFERENCE, "An analysis by AI failed or was refused.", "E"),
    "analysis.not_applicable": Act(K.INFERENCE, "An analysis by AI did not fit the study.", "E"),
    "analysis.read": _accessed("The state of analyses by AI was read; there was no result yet."),
    "ai_results.shown": _accessed("Results of AI were shown.", shows_ai=True),
    "ai_results.retrieved": _accessed("Objects with results of AI were read.", shows_ai=True),
    "ai_results.rendered": _accessed("Results of AI were given to the viewer to be drawn.", shows_ai=True),
    "ai_outlines.shown": _accessed("Outlines of a finding of AI were shown.", shows_ai=True),
    "finding.accept": Act(K.REVIEW, "A finding of AI was accepted.", "U"),
    "finding.reject": Act(K.REVIEW, "A finding of AI was rejected.", "U"),
    "finding.reopen": Act(K.REVIEW, "The review of a finding of AI was opened again.", "U"),
}
VIEWING = {
    "stream.followed": Act(K.QUERY, "Live news of studies was subscribed to."),
    "series.rendered": _accessed("A series was opened for viewing."),
    "render_session.ended": _alert("A viewing session was ended: its reader may not look any more."),
    "render_ticket.refused": _alert("A ticket for viewing was refused."),
    "render_pod.misnamed": _alert("A render pod came with another pod's name.", NODE_AUTHENTICATION),
}
OVERSIGHT = {
    "audit.read": Act(K.AUDIT_READ, "The audit trail was read.", "R"),
    "audit.export_requested": Act(K.AUDIT_READ, "An export of the audit trail was asked for.", "R"),
    "audit.exported": Act(K.AUDIT_READ, "The audit trail was exported.", "R"),
    "audit.export_failed": Act(K.AUDIT_READ, "An export of the audit trail failed.", "R"),
    "audit.export_cancelled": Act(K.AUDIT_READ, "An export of the audit trail was cancelled.", "R"),
    "audit.export_downloaded": Act(K.EXPORT, "An export of the audit trail was downloaded.", "R"),
    "audit.export_destroyed": Act(K.AUDIT_READ, "An export of the audit trail was destroyed.", "D"),
    "patient.traced": Act(K.AUDIT_READ, "It was asked who had seen a patient.", "R"),
    "presentation.read": Act(K.AUDIT_READ, "It was asked to whom results of AI had been shown.", "R"),
    "audit.feed_failed": _alert("Events could not be sent to the organisation's own audit repository."),
    "audit.feed_changed": _configured("The feed to the organisation's own audit repository was changed.", "U"),
}
DUTIES = {
    "subject_request.received": _configured("A person's request about their data was taken in.", "C"),
    "subject_request.advanced": _configured("A person's request about their data went on, or was closed.", "U"),
    "subject_request.due": _configured("It was told that a person's request must be answered.", "E"),
    "subject_request.read": _configured("Requests of people about their data were looked at.", "R"),
    "subject_report.made": Act(K.EXPORT, "A person was told what is held of them.", "R"),
    "patient.restricted": _configured("A patient's data were restricted at their request.", "U"),
    "patient.restriction_lifted": _configured("The restriction of a patient's data was lifted.", "U"),
    "incident.opened": _configured("An incident was opened.", "C"),
    "incident.changed": _configured("What is known of an incident was written down.", "U"),
    "incident.assessed": _configured("The risk of an incident was assessed.", "U"),
    "incident.notified": _configured("It was recorded that somebody was told of an incident.", "U"),
    "incident.closed": _configured("An incident was closed.", "U"),
    "incident.reopened": _configured("A closed incident was opened again.", "U"),
    "incident.due": _configured("It was told that a notice of an incident is due.", "E"),
    "incident.form_made": _configured("The notice of an incident to the authority was made.", "R"),
    "incident.read": _configured("Incidents were looked at.", "R"),
    "records_of_processing.made": _configured("The records of processing were made.", "R"),
    "impact_assessment.made": _configured("The skeleton of an impact assessment was made.", "R"),
}
#: What the boundary of an entry point records for the gate's "no".
REFUSALS = {
    **{f"{activity}.refused": _alert("The gate refused something.") for activity in Activity},
    **{f"{permission}.refused": _alert("An act of administration was refused.") for permission in AdminPermission},
}

ACTIONS: dict[str, Act] = {
    **IDENTITY, **TENANCY, **AGREEMENTS, **CATALOG, **STUDIES, **DESTRUCTION, **OPERATIONS,
    **ANALYSES, **VIEWING, **OVERSIGHT,
    **DUTIES, **REFUSALS,
}  # fmt: skip


class UnknownActionError(RuntimeError):
    """A bug: an action, or a kind for it, that the vocabulary does not have."""


def check_action(action: str, kind: Kind) -> str:
    """Return what is wrong with an action of this kind; empty when the vocabulary has it so."""
    known = ACTIONS.get(action)
    if known is None:
        return f"The audit vocabulary has no action {action!r}: add its line to gantry/audit/vocabulary.py."
    if known.kind is not kind:
        return f"The action {action!r} is of kind {known.kind}, not {kind}."
    return ""


def kind_of(action: str) -> Kind:
    """Return the kind of a known action."""
    return ACTIONS[action].kind


class _Strictness:
    """Whether an unknown action stops what is being done: in tests it does, in production it is logged."""

    is_strict = False


def be_strict() -> None:
    """Have unknown actions raise from now on in this process."""
    _Strictness.is_strict = True


def require_known(action: str, kind: Kind) -> None:
    """Refuse an action that the vocabulary does not have; in production, record it all the same and say so.

    Raises
    ------
    UnknownActionError
        In strict processes.
    """
    wrong = check_action(action, kind)
    if not wrong:
        return
    if _Strictness.is_strict:
        raise UnknownActionError(wrong)
    log.error("audit.unknown_action", action=action, kind=kind)
