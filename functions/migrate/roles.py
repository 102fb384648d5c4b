"""The two roles besides the administrator: who loads, and who looks up."""

import base64
from dataclasses import dataclass, field

import boto3
import scramp
from pg8000.native import identifier, literal

from shared import replacement
from shared.contract import Contract
from shared.database import credentials, patiently

IAM = "rds_iam"
"""Whoever is a member of it logs in by IAM, and by a password no more: RDS makes it."""

_ITERATIONS = 4096
"""PostgreSQL's own default."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role that is to be: it logs in by its password or, where it has none, by IAM."""

    name: str
    password: str | None = field(default=None, repr=False)

    @property
    def by_iam(self) -> bool:
        """Whether a signed token is its password."""
        return self.password is None


def wanted(user: str | None, secret_arn: str | None) -> Role:
    """Return the role that the secret holds or, without a secret, the one of that name.

    Where Secrets Manager does not answer, it is asked for two minutes.

    Raises:
        InvalidSettings: the secret is of another form.
        DatabaseUnavailable: Secrets Manager does not answer for now.
    """
    if secret_arn:
        client = boto3.client("secretsmanager")
        who = patiently(lambda: credentials(client, secret_arn))
        return Role(who.username, who.password)
    return Role(user or "")


def create(role: Role) -> str:
    """Return the statement that makes a role."""
    return f"CREATE ROLE {identifier(role.name)}"


def let_in(role: Role) -> str:
    """Return the statement that sets a role's password, without the password in it, or takes it.

    PostgreSQL may log statements; it gets what it would make of the password itself.
    """
    kept = "NULL" if role.password is None else literal(verifier(role.password))
    return f"ALTER ROLE {identifier(role.name)} LOGIN PASSWORD {kept}"


def by_iam(role: Role) -> str:
    """Return the statement after which a role logs in by IAM, or no more by IAM."""
    if role.by_iam:
        return f"GRANT {IAM} TO {identifier(role.name)}"
    return f"REVOKE {IAM} FROM {identifier(role.name)}"


def verifier(password: str) -> str:
    """Return what PostgreSQL keeps in a password's place: salted, hashed, of no use to log in."""
    mechanism = scramp.ScramMechanism("SCRAM-SHA-256")
    salt, stored_key, server_key, iterations = mechanism.make_auth_info(
        password, iteration_count=_ITERATIONS
    )
    return f"SCRAM-SHA-256${iterations}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def grants(database: str, loader: Role, reader: Role) -> list[str]:
    """Return the statements after which each role may do what its function does in any case.

    That is to get in, and to use the pipeline's own tables.
    """
    load, look_up = identifier(loader.name), identifier(reader.name)
    return [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {identifier(database)} TO {load}, {look_up}",
        f"GRANT USAGE ON SCHEMA public TO {load}, {look_up}",
        f"REVOKE ALL ON source, schema_version, {replacement.TABLE} FROM {load}, {look_up}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON source TO {load}",
        f"GRANT SELECT, INSERT, UPDATE ON {replacement.TABLE} TO {load}",
        f"GRANT SELECT ON {replacement.TABLE} TO {look_up}",
    ]


def grants_on(contract: Contract, loader: Role, reader: Role) -> list[str]:
    """Return the statements after which each role may use a contract's table as its function."""
    load, look_up = identifier(loader.name), identifier(reader.name)
    table = identifier(contract.relation)
    # To delete a source's rows it must see whose they are and, where the API shows them, the keys
    # for which it counts that; and nothing else of them.
    seen = "source_id"
    if contract.lookup:
        seen += f", {identifier(contract.column(contract.lookup.key).physical_name)}"
    return [
        f"REVOKE ALL ON {table} FROM {load}, {look_up}",
        f"GRANT SELECT ({seen}), INSERT, DELETE ON {table} TO {load}",
        f"GRANT SELECT ON {table} TO {look_up}",
    ]


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
