"""How agreements look to programs."""

from __future__ import annotations

from datetime import date
from typing import Any

from gantry.agreements.asking import Answer
from gantry.agreements.comparing import Change, Shift
from gantry.agreements.models import Agreement, AgreementStep, Signature, TransferNotice
from gantry.agreements.services import VersionFile
from gantry.kernel.decision import Decision


def version_row(row: Agreement) -> dict[str, Any]:
    """Return a version as a list shows it."""
    return {
        "id": str(row.pk),
        "version": row.version,
        "title": row.title,
        "template": row.template,
        "status": row.status,
        "revision": row.revision,
        "document_sha256": row.document_sha256 or None,
        "amends": str(row.amends_id) if row.amends_id else None,
        "created_at": row.created_at,
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
        "ended_at": row.ended_at,
        "disposition": row.disposition or None,
    }


def file_row(file: VersionFile, today: date) -> dict[str, Any]:
    """Return a version with all that belongs to it."""
    return {
        **version_row(file.agreement),
        "law": file.law,
        "content": file.agreement.content,
        "signatures": [signature_row(one) for one in file.signatures],
        "steps": [step_row(one) for one in file.steps],
        "transfer_notices": [notice_row(one, today) for one in file.notices],
        "faults": list(file.faults),
    }


def signature_row(row: Signature) -> dict[str, Any]:
    """Return a signature; never the account that recorded it."""
    return {
        "side": row.side,
        "name": row.name,
        "function": row.function,
        "method": row.method,
        "signed_at": row.signed_at,
        "document_sha256": row.document_sha256,
        "paper_sha256": row.paper_sha256 or None,
    }


def step_row(row: AgreementStep) -> dict[str, Any]:
    """Return one step of a version's life."""
    return {"step": row.step, "from": row.from_status, "to": row.to_status, "at": row.at, "reason": row.reason}


def notice_row(row: TransferNotice, today: date) -> dict[str, Any]:
    """Return the notice of a standard contract with its clock."""
    return {
        "id": str(row.pk),
        "recipient": row.recipient,
        "region": row.region,
        "signed_on": row.signed_on,
        "due_on": row.due_on,
        "given_on": row.given_on,
        "reference": row.reference,
        "is_overdue": row.given_on is None and row.due_on < today,
    }


def decision_row(decision: Decision) -> dict[str, Any]:
    """Return one answer of the gate."""
    return {
        "allowed": decision.allowed,
        "code": decision.code,
        "reason": decision.reason,
        "clause": decision.clause or None,
        "agreement_version": decision.agreement_version or None,
        "purpose": decision.purpose.value,
        "looks_absent": decision.is_hidden,
    }


def answer_row(answer: Answer) -> dict[str, Any]:
    """Return the answer to a what-if, with everything that stands against it."""
    return {
        **decision_row(answer.decision),
        "version": answer.version or None,
        "is_supposed": answer.is_supposed,
        "objections": [decision_row(one) for one in answer.objections],
    }


def change_row(change: Change) -> dict[str, Any]:
    """Return one place where two versions differ."""
    return {"path": change.path, "before": change.before, "after": change.after}


def shift_row(shift: Shift) -> dict[str, Any]:
    """Return one act that would be decided otherwise."""

    def side(decision: Decision) -> dict[str, Any]:
        return {"allowed": decision.allowed, "code": decision.code, "clause": decision.clause or None}

    return {
        "role": shift.role.value,
        "activity": shift.activity.value,
        "category": shift.category.value,
        "purpose": shift.purpose.value,
        "place": shift.place.value,
        "before": side(shift.before),
        "after": side(shift.after),
    }
