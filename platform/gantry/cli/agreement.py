"""`gantry agreement`: data processing agreements, and what they permit.

Without `--as` the platform's operator acts, who signs for the processor alone; with it, a compliance officer of the
tenant, whose password is asked for again where they sign.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gantry.cli.acting import AsJson, Tenant, acting, fail, set_up, show

if TYPE_CHECKING:
    from gantry.agreements.public import Content, VersionFile
    from gantry.kernel.actor import Actor
    from gantry.kernel.ids import AgreementId

Version = Annotated[str, typer.Argument(help="Name of the version, such as v1.")]
As = Annotated[str, typer.Option("--as", help="E-mail address of the compliance officer; empty: the operator.")]
Reason = Annotated[str, typer.Option(help="Why; it stays in the history.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Data processing agreements, and what they permit.", no_args_is_help=True)
    for name, command in (
        ("list", list_versions),
        ("show", show_version),
        ("draft", draft),
        ("edit", edit),
        ("review", review),
        ("sign", sign),
        ("amend", amend),
        ("suspend", suspend),
        ("resume", resume),
        ("terminate", terminate),
        ("withdraw", withdraw),
        ("diff", diff),
        ("effect", effect),
        ("explain", explain),
        ("pdf", pdf),
        ("notice", notice),
    ):
        group.command(name)(command)
    app.add_typer(group, name="agreement")


def list_versions(*, tenant: Tenant, officer: As = "", as_json: AsJson = False) -> None:
    """List the versions of a tenant's agreement, newest first."""
    set_up()
    from gantry.agreements import public as agreements

    with acting(tenant, officer) as actor:
        _, rows = agreements.list_versions(actor=actor, offset=0, limit=500)
    lines = [
        {
            "version": row.version,
            "status": row.status,
            "title": row.title,
            "from": _day(row.valid_from),
            "until": _day(row.valid_until),
            "sha256": row.document_sha256[:16],
        }
        for row in rows
    ]
    show(lines, as_json=as_json, empty="There is no agreement. `gantry agreement draft` begins one.")


def show_version(version: Version, *, tenant: Tenant, officer: As = "", as_json: AsJson = False) -> None:
    """Show a version: its canonical text, signatures, steps and notices."""
    set_up()
    with acting(tenant, officer) as actor:
        file = _open(actor, version, as_document=True)
    if as_json:
        typer.echo(json.dumps(_file(file), indent=2, default=str))
        return
    row = file.agreement
    typer.echo(file.text())
    typer.echo(f"Status: {row.status} · from {_day(row.valid_from) or '–'} until {_day(row.valid_until) or '–'}")
    typer.echo(f"SHA-256 of the text: {row.document_sha256 or 'none yet: a draft'}")
    for one in file.signatures:
        typer.echo(f"Signed: {one.side}\t{one.name}\t{one.function}\t{one.method}\t{one.signed_at:%Y-%m-%d %H:%M} UTC")
    for step in file.steps:
        typer.echo(f"Step: {step.at:%Y-%m-%d %H:%M} UTC\t{step.step}\t{step.to_status}\t{step.reason}")
    for due in file.notices:
        state = f"given on {due.given_on}" if due.given_on else f"due on {due.due_on}"
        typer.echo(f"Notice: {due.recipient} ({due.region})\t{state}\t{due.pk}")
    for fault in file.faults:
        typer.echo(f"Open: {fault}")


def draft(
    version: Version,
    *,
    tenant: Tenant,
    officer: As = "",
    template: Annotated[str, typer.Option(help="gdpr-28, kvkk or hipaa-baa.")] = "gdpr-28",
    controller: Annotated[str, typer.Option(help="Name of the organisation; empty: the tenant's.")] = "",
    processor: Annotated[str, typer.Option(help="Name of the platform's operator.")] = "Operator of the platform",
    contact: Annotated[str, typer.Option(help="Whom to tell of a breach in the organisation.")] = "",
    region: Annotated[list[str] | None, typer.Option(help="A region that may hold the data; again for more.")] = None,
    vendors: Annotated[
        bool, typer.Option("--vendors/--no-vendors", help="List the vendors of the models in the repository.")
    ] = True,
    file: Annotated[Path | None, typer.Option(help="Content as JSON, instead of a template.", exists=True)] = None,
) -> None:
    """Draft a version, from a template or from a file. It permits nothing until both sides have signed it."""
    set_up()
    from django.conf import settings

    from gantry.agreements import public as agreements
    from gantry.tenancy.public import get_tenant

    with acting(tenant, officer) as actor:
        if file is not None:
            content = _read_content(file)
        else:
            name = controller or _in_scope(lambda: get_tenant().name)
            regions = frozenset(region or [settings.REGION])
            content = agreements.content_from_template(
                template,
                controller=agreements.Party(name, contact=contact),
                processor=agreements.Party(processor),
                regions=regions,
                sub_processors=_vendors(regions) if vendors else (),
            )
        row = agreements.draft_agreement(actor=actor, version=version, content=content)
        faults = agreements.list_faults(content)
    typer.echo(f"{row.version} is drafted.")
    for fault in faults:
        typer.echo(f"Open: {fault}")


def edit(
    version: Version,
    file: Annotated[Path, typer.Argument(help="The content as JSON, as `show --json` prints it.", exists=True)],
    *,
    tenant: Tenant,
    officer: As = "",
    revision: Annotated[int, typer.Option(help="The revision that the change was made from; `show --json` has it.")],
) -> None:
    """Write a draft again."""
    set_up()
    from gantry.agreements import public as agreements

    with acting(tenant, officer) as actor:
        key = agreements.find_version(actor=actor, version=version)
        row = agreements.edit_agreement(actor=actor, agreement_id=key, revision=revision, content=_read_content(file))
    typer.echo(f"{row.version} is at revision {row.revision}.")


def review(version: Version, *, tenant: Tenant, officer: As = "") -> None:
    """Declare a draft ready to be signed: from here on nothing in it changes."""
    set_up()
    from gantry.agreements import public as agreements

    with acting(tenant, officer) as actor:
        key = agreements.find_version(actor=actor, version=version)
        row = agreements.review_agreement(actor=actor, agreement_id=key)
    typer.echo(f"{row.version} is ready to be signed.\nSHA-256: {row.document_sha256}")


def sign(
    version: Version,
    *,
    tenant: Tenant,
    officer: As = "",
    name: Annotated[str, typer.Option(help="Who signs.")],
    function: Annotated[str, typer.Option(help="What they are in their organisation.")] = "",
    sha256: Annotated[str, typer.Option(help="Hash of the document that was read; empty: it is shown and asked.")] = "",
    paper: Annotated[Path | None, typer.Option(help="The signed paper, a PDF of at most 20 MiB.", exists=True)] = None,
) -> None:
    """Sign for one side: for the organisation with --as and the officer's password, else for the platform."""
    set_up()
    from gantry.agreements import public as agreements
    from gantry.identity.public import confirm_identity

    with acting(tenant, officer) as actor:
        file = _open(actor, version)
        digest = sha256 or file.agreement.document_sha256
        if not sha256:
            typer.echo(f"{file.content.title}, {version}\nSHA-256: {digest or 'none: it was not reviewed yet'}")
            typer.confirm(f"Does {name} sign this document?", abort=True)
        side = agreements.Side.CONTROLLER if officer else agreements.Side.PROCESSOR
        if actor.user_id is not None:
            password = typer.prompt(f"Password of {officer}", hide_input=True)
            confirm_identity(user_id=actor.user_id, password=password, address="127.0.0.1")
        who: dict[str, Any] = {
            "actor": actor,
            "agreement_id": file.agreement.pk,
            "side": side,
            "signatory": agreements.Signatory(name, function),
            "document_sha256": digest,
        }
        if paper is not None:
            row = agreements.sign_on_paper(**who, paper=paper.read_bytes())
        else:
            row = agreements.sign_agreement(**who)
    typer.echo(f"Signed for the {side}. {row.version} is {row.status.replace('_', ' ')}.")


def amend(
    version: Version,
    new: Annotated[str, typer.Argument(help="Name of the new version.")],
    *,
    tenant: Tenant,
    officer: As = "",
) -> None:
    """Draft a new version from another, which stays as it is until the new one takes its place."""
    set_up()
    from gantry.agreements import public as agreements

    with acting(tenant, officer) as actor:
        key = agreements.find_version(actor=actor, version=version)
        row = agreements.amend_agreement(actor=actor, agreement_id=key, version=new)
    typer.echo(f"{row.version} is drafted from {version}.")


def suspend(version: Version, *, tenant: Tenant, officer: As = "", reason: Reason = "") -> None:
    """Stop everything at once: ingest, analysis, sharing, and what is open, within five seconds."""
    _take(version, tenant, officer, "suspend", reason)


def resume(version: Version, *, tenant: Tenant, officer: As = "", reason: Reason = "") -> None:
    """Put a suspended version in force again. What the organisation suspended, its officer resumes."""
    _take(version, tenant, officer, "resume", reason)


def withdraw(version: Version, *, tenant: Tenant, officer: As = "", reason: Reason = "") -> None:
    """Give a version up before it is in force."""
    _take(version, tenant, officer, "withdraw", reason)


def terminate(
    version: Version,
    *,
    tenant: Tenant,
    officer: As = "",
    data: Annotated[str, typer.Option(help="What becomes of the data: return or delete.")],
    reason: Reason = "",
) -> None:
    """End the agreement; the organisation chooses whether its data are returned or erased."""
    set_up()
    from gantry.agreements.public import Disposition

    if data not in set(Disposition):
        raise fail("--data is return or delete.")
    _take(version, tenant, officer, "terminate", reason, Disposition(data))


def _take(version: str, tenant: str, officer: str, step: str, reason: str, disposition: Any = None) -> None:
    set_up()
    from gantry.agreements import public as agreements

    with acting(tenant, officer) as actor:
        key = agreements.find_version(actor=actor, version=version)
        row = agreements.advance_agreement(
            actor=actor, agreement_id=key, step=agreements.Step(step), reason=reason, disposition=disposition
        )
    typer.echo(f"{row.version} is {row.status.replace('_', ' ')}.")


def diff(
    before: Annotated[str, typer.Argument(help="Name of one version.")],
    after: Annotated[str, typer.Argument(help="Name of the other.")],
    *,
    tenant: Tenant,
    officer: As = "",
    as_json: AsJson = False,
) -> None:
    """Compare two versions: in words, and in what either permits."""
    set_up()
    from gantry.agreements import public as agreements

    with acting(tenant, officer) as actor:
        keys = [agreements.find_version(actor=actor, version=one) for one in (before, after)]
        changes, shifts = agreements.compare_versions(actor=actor, before_id=keys[0], after_id=keys[1])
    if as_json:
        rows = {"changes": [vars_of(one) for one in changes], "shifts": [_shift(one) for one in shifts]}
        typer.echo(json.dumps(rows, indent=2, default=str))
        return
    for change in changes:
        typer.echo(f"{change.path}\n  - {_value(change.before)}\n  + {_value(change.after)}")
    typer.echo("" if changes else "The words are the same.")
    _show_shifts(shifts, "Both permit the same.")


def effect(version: Version, *, tenant: Tenant, officer: As = "", as_json: AsJson = False) -> None:
    """Say which acts would be decided otherwise if this version were in force now."""
    set_up()
    from gantry.agreements import public as agreements

    with acting(tenant, officer) as actor:
        key = agreements.find_version(actor=actor, version=version)
        shifts = agreements.what_would_change(actor=actor, agreement_id=key)
    if as_json:
        typer.echo(json.dumps([_shift(one) for one in shifts], indent=2))
    else:
        _show_shifts(shifts, "Nothing would change.")


def explain(
    *,
    tenant: Tenant,
    officer: As = "",
    role: Annotated[str, typer.Option(help="Who: a role, such as radiologist.")],
    activity: Annotated[str, typer.Option(help="What they would do, such as view.")],
    category: Annotated[str, typer.Option(help="With which data, such as pixel_data.")],
    purpose: Annotated[str, typer.Option(help="What for: TREAT, HOPERAT, HQUALIMP, PATRQT, BTG, HSYSADMIN.")] = "TREAT",
    place: Annotated[str, typer.Option(help="From where: site, country or abroad.")] = "site",
    vendor: Annotated[str, typer.Option(help="Vendor of a model, or an external service, that takes part.")] = "",
    granted: Annotated[str, typer.Option(help="By which grant: referral, share, care_team, break_glass.")] = "",
    version: Annotated[str, typer.Option(help="As if this version were in force; empty: what binds now.")] = "",
    as_json: AsJson = False,
) -> None:
    """Answer "may X do Y to Z, and by which clause?" Exits 1 where the answer is no."""
    set_up()
    from gantry.agreements import public as agreements
    from gantry.kernel import vocabulary as words

    question = agreements.Question(
        role=_word(words.Role, role),
        activity=_word(words.Activity, activity),
        category=_word(words.DataCategory, category),
        purpose=_word(words.Purpose, purpose),
        place=_word(words.Place, place),
        processor=vendor,
        granted_by=_word(words.GrantKind, granted) if granted else None,
    )
    with acting(tenant, officer) as actor:
        key = agreements.find_version(actor=actor, version=version) if version else None
        answer = agreements.explain(actor=actor, question=question, agreement_id=key)
    decision = answer.decision
    if as_json:
        rows = [{"code": one.code, "reason": one.reason, "clause": one.clause} for one in answer.objections]
        typer.echo(
            json.dumps(
                {
                    "allowed": decision.allowed,
                    "code": decision.code,
                    "clause": decision.clause,
                    "purpose": decision.purpose.value,
                    "version": answer.version,
                    "is_supposed": answer.is_supposed,
                    "objections": rows,
                },
                indent=2,
            )
        )
    else:
        under = (
            f"{answer.version}{', as if in force' if answer.is_supposed else ''}" if answer.version else "no agreement"
        )
        typer.echo(f"{'Yes' if decision.allowed else 'No'}, under {under}.")
        if decision.allowed:
            typer.echo(f"By {decision.clause}, for {decision.purpose}.")
        for one in answer.objections:
            typer.echo(f"- {one.code}: {one.reason}{f' ({one.clause})' if one.clause else ''}")
    if not decision.allowed:
        raise typer.Exit(1)


def pdf(
    version: Version,
    target: Annotated[Path, typer.Argument(help="Where to write it.")],
    *,
    tenant: Tenant,
    officer: As = "",
    form: Annotated[str, typer.Option(help="pdf, html or text.")] = "pdf",
) -> None:
    """Write a version's document to a file."""
    set_up()
    from gantry.foundation.documents import to_pdf

    if form not in {"pdf", "html", "text"}:
        raise fail("--form is pdf, html or text.")
    with acting(tenant, officer) as actor:
        file = _open(actor, version, as_document=True)
        data = to_pdf(file.html()) if form == "pdf" else (file.html() if form == "html" else file.text()).encode()
    target.write_bytes(data)
    typer.echo(f"{target}: {len(data)} bytes.")


def notice(
    notice_id: Annotated[str, typer.Argument(help="The id that `show` prints.")],
    *,
    tenant: Tenant,
    officer: As = "",
    given_on: Annotated[str, typer.Option(help="The day, as 2026-11-25.")],
    reference: Annotated[str, typer.Option(help="What the authority's answer is filed under.")] = "",
) -> None:
    """Record that the authority was notified of a standard contract."""
    set_up()
    from datetime import date
    from uuid import UUID

    from gantry.agreements import public as agreements

    try:
        key, day = UUID(notice_id), date.fromisoformat(given_on)
    except ValueError:
        raise fail("Give the id that `show` prints, and a day such as 2026-11-25.") from None
    with acting(tenant, officer) as actor:
        row = agreements.record_notice(actor=actor, notice_id=key, given_on=day, reference=reference)
    typer.echo(f"Recorded: {row.recipient}, given on {row.given_on}.")


def _open(actor: Actor, version: str, *, as_document: bool = False) -> VersionFile:
    from gantry.agreements import public as agreements

    key: AgreementId = agreements.find_version(actor=actor, version=version)
    return agreements.open_version(actor=actor, agreement_id=key, as_document=as_document)


def _read_content(file: Path) -> Content:
    from gantry.agreements.public import parse_content

    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise fail(f"{file} is not JSON: {error}") from None
    # `show --json` wraps the content in the version that has it.
    return parse_content(data["content"] if isinstance(data, dict) and "content" in data else data)


def _vendors(regions: frozenset[str]) -> tuple[Any, ...]:
    from gantry.agreements.public import SubProcessor
    from gantry.catalog.public import list_cards
    from gantry.kernel.vocabulary import Activity, DataCategory

    names = sorted({card.manufacturer for card in list_cards()})
    return tuple(
        SubProcessor(
            name=name,
            clause=f"Annex B §{number}",
            task="Models",
            activities=frozenset({Activity.INFER}),
            categories=frozenset(DataCategory) - {DataCategory.USAGE},
            regions=regions,
        )
        for number, name in enumerate(names, start=1)
    )


def _in_scope(read: Any) -> Any:
    from gantry.foundation.scope import unit_of_work

    with unit_of_work():
        return read()


def _word(kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise fail(f"{text!r} is none of: {', '.join(one.value for one in kind)}.") from None


def _file(file: VersionFile) -> dict[str, Any]:
    from gantry.agreements.api.rows import file_row
    from gantry.kernel.clock import SYSTEM_CLOCK

    return file_row(file, SYSTEM_CLOCK.now().date())


def _shift(one: Any) -> dict[str, Any]:
    from gantry.agreements.api.rows import shift_row

    return shift_row(one)


def vars_of(change: Any) -> dict[str, Any]:
    """Return a change as data."""
    return {"path": change.path, "before": change.before, "after": change.after}


def _show_shifts(shifts: list[Any], empty: str) -> None:
    if not shifts:
        typer.echo(empty)
    for one in shifts:
        sides = [f"yes, {side.clause}" if side.allowed else f"no, {side.code}" for side in (one.before, one.after)]
        act = f"{one.role} · {one.activity} · {one.category} · {one.purpose} · {one.place}"
        typer.echo(f"{act}: {sides[0]} → {sides[1]}")


def _value(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _day(moment: Any) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""
