"""`gantry access`: who may do what, and emergency access with its review."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

import typer

from gantry.cli.acting import AsJson, Member, Tenant, acting, set_up, show


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Who may do what, and emergency access.", no_args_is_help=True)
    group.command("matrix")(matrix)
    glass = typer.Typer(help="Emergency access and its review.", no_args_is_help=True)
    glass.command("list")(list_emergencies)
    glass.command("review")(review_emergency)
    glass.command("end")(end_emergency)
    group.add_typer(glass, name="break-glass")
    app.add_typer(group, name="access")


def matrix(
    *,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="As docs/access.md holds it.")] = False,
) -> None:
    """Show what each role may do and administer, and what scopes reach. Agreements permit less, never more."""
    set_up()
    from gantry.access.matrix import matrix_rows, to_markdown, to_text

    if as_json:
        typer.echo(json.dumps(matrix_rows(), indent=2))
    else:
        typer.echo(to_markdown() if markdown else to_text(), nl=False)


def list_emergencies(
    *,
    tenant: Tenant,
    officer: Member,
    verdict: Annotated[str, typer.Option(help="pending, justified or not_justified; empty: all.")] = "pending",
    as_json: AsJson = False,
) -> None:
    """List emergency accesses, newest first, as a compliance officer of the tenant sees them."""
    set_up()
    from gantry.studies.public import ReviewVerdict
    from gantry.studies.public import list_emergencies as find

    chosen = _choice(verdict, [one.value for one in ReviewVerdict]) if verdict else None
    with acting(tenant, officer) as actor:
        _, cards = find(actor=actor, verdict=ReviewVerdict(chosen) if chosen else None, limit=500)
    show([_row(card) for card in cards], as_json=as_json, empty="There is nothing to review.")


def review_emergency(
    emergency_id: Annotated[UUID, typer.Argument(help="The id that `list` shows.")],
    *,
    tenant: Tenant,
    officer: Member,
    justified: Annotated[bool, typer.Option("--justified/--not-justified", help="What was found.")],
    comment: Annotated[str, typer.Option(help="Why, in a sentence.")],
) -> None:
    """Write down what the review found; where it was not justified, access ends with that."""
    set_up()
    from gantry.studies.public import ReviewVerdict
    from gantry.studies.public import review_emergency as review

    verdict = ReviewVerdict.JUSTIFIED if justified else ReviewVerdict.NOT_JUSTIFIED
    with acting(tenant, officer) as actor:
        review(actor=actor, emergency_id=emergency_id, verdict=verdict, comment=comment)
    typer.echo("The review is written down.")


def end_emergency(
    emergency_id: Annotated[UUID, typer.Argument(help="The id that `list` shows.")],
    *,
    tenant: Tenant,
    officer: Member,
) -> None:
    """End emergency access at once; whatever it has open closes within seconds."""
    set_up()
    from gantry.studies.public import end_emergency as end

    with acting(tenant, officer) as actor:
        end(actor=actor, emergency_id=emergency_id)
    typer.echo("Emergency access has ended.")


def _row(card: Any) -> dict[str, Any]:
    return {
        "id": card.id,
        "opened_at": card.opened_at.isoformat(timespec="seconds"),
        "person": card.user_id,
        "role": card.role.value,
        "patient": card.patient_pseudonym,
        "reason_code": card.reason_code.value,
        "is_open": card.is_open,
        "verdict": card.verdict.value,
        "reason": card.reason,
    }


def _choice(text: str, allowed: list[str]) -> str:
    if text not in allowed:
        raise typer.BadParameter(f"must be one of {', '.join(allowed)}.")
    return text
