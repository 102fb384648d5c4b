"""The two roles besides the administrator: who loads, and who looks up."""

import base64
from collections.abc import Collection

import scramp
from pg8000.native import identifier, literal

from shared.contract import Contract
from shared.database import Credentials

_ITERATIONS = 4096
"""PostgreSQL's own default."""


def create(role: Credentials) -> str:
    """Return the statement that makes a role."""
    return f"CREATE ROLE {identifier(role.username)}"


def let_in(role: Credentials) -> str:
    """Return the statement that sets a role's password, without the password in it.

    PostgreSQL may log statements; it gets what it would make of the password itself.
    """
    return f"ALTER ROLE {identifier(role.username)} LOGIN PASSWORD {literal(verifier(role))}"


def verifier(role: Credentials) -> str:
    """Return what PostgreSQL keeps in a password's place: salted, hashed, of no use to log in."""
    mechanism = scramp.ScramMechanism("SCRAM-SHA-256")
    salt, stored_key, server_key, iterations = mechanism.make_auth_info(
        role.password, iteration_count=_ITERATIONS
    )
    return f"SCRAM-SHA-256${iterations}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def grants(
    database: str, loader: Credentials, reader: Credentials, contracts: Collection[Contract]
) -> list[str]:
    """Return the statements after which each role may do exactly what its function does."""
    load, look_up = identifier(loader.username), identifier(reader.username)
    tables = [identifier(contract.relation) for contract in contracts]
    statements = [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {identifier(database)} TO {load}, {look_up}",
        f"GRANT USAGE ON SCHEMA public TO {load}, {look_up}",
        f"REVOKE ALL ON source, schema_version, {', '.join(tables)} FROM {load}, {look_up}",
        f"GRANT SELECT, INSERT, UPDATE ON source TO {load}",
    ]
    for table in tables:
        statements += [
            # To delete a source's rows it must see whose they are, and nothing else of them.
            f"GRANT SELECT (source_id), INSERT, DELETE ON {table} TO {load}",
            f"GRANT SELECT ON {table} TO {look_up}",
        ]
    return statements


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
