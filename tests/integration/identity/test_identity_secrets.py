"""What the application's role cannot read, whatever is injected into its statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

SECRETS = (
    "select password from identity_user",
    "select * from identity_user",
    "select generation from identity_user",
    "select data from identity_session",
    "select digest from identity_session",
    "select data from mfa_authenticator",
    "select subject from identity_signintally",
    "select digest from identity_spentcode",
    "select email from account_emailaddress",
    "insert into identity_session (digest, data, address, agent) values ('x', '', '', '')",
    "update identity_user set password = 'x'",
    "delete from identity_signintally",
    "delete from mfa_authenticator",
)


@pytest.mark.parametrize("statement", SECRETS)
@pytest.mark.parametrize("role", ["app", "sequencer", "auditor"])
def test_statement_is_refused_when_another_role_runs_it(
    connect: Callable[[str], Any], role: str, statement: str
) -> None:
    with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize("statement", [statement for statement in SECRETS if statement.startswith("select")])
def test_statement_runs_when_the_identity_role_runs_it(connect: Callable[[str], Any], statement: str) -> None:
    with connect("identity") as connection:
        connection.execute(statement)


def test_names_are_readable_when_the_application_lists_people(connect: Callable[[str], Any]) -> None:
    with connect("app") as connection:
        connection.execute("select id, email, name, is_active from identity_user")


@pytest.mark.parametrize("table", ["tenancy_membership", "studies_study", "audit_auditevent", "gantry.context_key"])
def test_patient_data_is_refused_when_the_identity_role_asks(connect: Callable[[str], Any], table: str) -> None:
    with connect("identity") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"select * from {table}")
