"""The database roles of the functions load and api."""

import base64
from dataclasses import dataclass, field

import boto3
import scramp
from pg8000.native import identifier, literal

from shared import replacement
from shared.contract import Contract
from shared.database import credentials, retry_until_available

IAM = "rds_iam"
"""Role of RDS. Its members log in by IAM and not by password."""

_ITERATIONS = 4096  # the default of PostgreSQL


@dataclass(frozen=True, slots=True)
class Role:
    """A role that logs in by password, or by IAM if it has no password."""

    name: str
    password: str | None = field(default=None, repr=False)

    @property
    def by_iam(self) -> bool:
        """Whether the role logs in by IAM."""
        return self.password is None


def configured(user: str | None, secret_arn: str | None) -> Role:
    """Return the role in the secret, or the role `user` if there is no secret.

    If Secrets Manager is unavailable, the request is retried for two minutes.

    Raises:
        InvalidSettings: the secret has another format.
        DatabaseUnavailable: Secrets Manager was unavailable for two minutes.
    """
    if secret_arn:
        client = boto3.client("secretsmanager")
        secret = retry_until_available(lambda: credentials(client, secret_arn))
        return Role(secret.username, secret.password)
    return Role(user or "")


def create(role: Role) -> str:
    """Return the statement that creates a role."""
    return f"CREATE ROLE {identifier(role.name)}"


def set_password(role: Role) -> str:
    """Return the statement that allows a role to log in, and sets or removes its password.

    PostgreSQL may log statements, so this one has a SCRAM verifier instead of the password.
    """
    value = "NULL" if role.password is None else literal(verifier(role.password))
    return f"ALTER ROLE {identifier(role.name)} LOGIN PASSWORD {value}"


def set_iam_login(role: Role) -> str:
    """Return the statement that enables or disables log-in by IAM."""
    if role.by_iam:
        return f"GRANT {IAM} TO {identifier(role.name)}"
    return f"REVOKE {IAM} FROM {identifier(role.name)}"


def verifier(password: str) -> str:
    """Return the SCRAM-SHA-256 verifier (salted hash) of a password, as PostgreSQL stores it."""
    mechanism = scramp.ScramMechanism("SCRAM-SHA-256")
    salt, stored_key, server_key, iterations = mechanism.make_auth_info(
        password, iteration_count=_ITERATIONS
    )
    return f"SCRAM-SHA-256${iterations}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def grants(database: str, loader: Role, reader: Role) -> list[str]:
    """Return the statements that grant each role access to the database and its own tables."""
    load, look_up = identifier(loader.name), identifier(reader.name)
    return [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {identifier(database)} TO {load}, {look_up}",
        f"GRANT USAGE ON SCHEMA public TO {load}, {look_up}",
        f"REVOKE ALL ON source, load, schema_version, {replacement.TABLE} FROM {load}, {look_up}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON source TO {load}",
        f"GRANT SELECT, INSERT, DELETE ON load TO {load}",
        f"GRANT SELECT, INSERT, UPDATE ON {replacement.TABLE} TO {load}",
        f"GRANT SELECT ON {replacement.TABLE} TO {look_up}",
    ]


def grants_on(contract: Contract, loader: Role, reader: Role) -> list[str]:
    """Return the statements that grant each role its privileges on a contract's table and view."""
    load, look_up = identifier(loader.name), identifier(reader.name)
    table, view = identifier(contract.rows_table), identifier(contract.relation)
    # The loader reads load IDs, to delete a load's rows, and the lookup's keys, to count their
    # replacements. It must not read other columns, nor write a load ID.
    readable = "load_id"
    if contract.lookup:
        readable += f", {identifier(contract.column(contract.lookup.key).physical_name)}"
    writable = ", ".join(map(identifier, (*contract.physical_names, "source_line")))
    return [
        f"REVOKE ALL ON {table}, {view} FROM {load}, {look_up}",
        f"GRANT SELECT ({readable}), INSERT ({writable}), DELETE ON {table} TO {load}",
        f"GRANT SELECT ON {view} TO {look_up}",
    ]


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
