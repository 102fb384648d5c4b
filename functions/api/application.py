"""The API application: general routes, and the routes of each table with a valid contract."""

import functools
import hashlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api.freshness import Freshness, LastChange
from functions.api.ingestions import ingestions
from functions.api.lookups import get_route, lookups, without_lookup
from functions.api.open_routes import documentation, health
from functions.api.openapi import document
from functions.api.pagination import Pages, RunStatement
from functions.api.problems import handle_errors, missing
from functions.api.table_spec import ANY_TABLE, TableSpec
from functions.api.tables import described, table, tables
from functions.api.view import View
from shared.contract import Contract
from shared.errors import InvalidContract
from shared.ingestion_log import IngestionLog
from shared.text import quoted

_TITLE = "Lookup API"
_DESCRIPTION = "Loaded rows, and the outcome of each file."


class Application:
    """Dispatcher of requests to the general routes or to the routes of one table.

    The routes of a table depend on its contract, and a stack may have hundreds of tables.
    They are therefore created at the first request for the table.
    """

    def __init__(
        self,
        contracts: Callable[[], Mapping[str, Contract]],
        run: RunStatement,
        log: Callable[[], IngestionLog],
        *,
        get_table: str | None = None,
        origins: Collection[str] = (),
    ) -> None:
        """Store the dependencies of the routes.

        `contracts` returns the valid contracts by table. Reading another table from the mapping
        raises KeyError or InvalidContract. The result must never change. General routes do not call
        it. `get_table` is the table of `/get`; None for the only table with a lookup. `origins` are
        allowed by CORS.
        """
        self._contracts = contracts
        self._run = run
        self._log = log
        self._last_change = LastChange(log)
        self._get_table = get_table
        self._cors = _cors(sorted(origins))
        self._for_table = functools.cache(self._make_table)
        self._get = functools.cache(self._make_get)
        self._general = functools.cache(self._make_general)

    def resolve(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Return the response to an API Gateway request."""
        try:
            app = self._app(event["httpMethod"], event["path"])
        except Exception as error:
            # Report it like an error raised by a route.
            app = self._build(instead=error)
        return app.resolve(event, context)

    def _app(self, method: str, path: str) -> APIGatewayRestResolver:
        # The path stays encoded: IAM policies of callers match the path as sent.
        match path.rstrip("/").split("/"):
            case _ if method == "OPTIONS":
                return self._general()
            case ["", "get"]:
                return self._get()
            case ["", "tables", table, *_] if table:
                return self._for_table(table)
        return self._general()

    def _make_general(self) -> APIGatewayRestResolver:
        return self._build(
            health(),
            documentation(lambda: document(self._general(), _TITLE, _DESCRIPTION)),
            ingestions(self._log),
            tables(self._contracts),
            # Only for the document: `_app` sends requests for these to other applications.
            table(ANY_TABLE.path, _unused),
            documentation(_unused, ANY_TABLE.path),
            get_route(ANY_TABLE, _unused, self._freshness()),
            lookups(ANY_TABLE, _unused, self._freshness()),
        )

    def _make_table(self, name: str) -> APIGatewayRestResolver:
        contract = self._contract(name)
        view = View.of(contract)
        path = f"/tables/{name}"
        return self._build(
            table(path, lambda: described(contract)),
            documentation(
                lambda: document(
                    self._for_table(name), f"{_TITLE}: {name}", contract.description, server="../.."
                ),
                path,
            ),
            without_lookup(name)
            if view is None
            else lookups(TableSpec.of(view), self._pages(view), self._freshness(contract)),
        )

    def _make_get(self) -> APIGatewayRestResolver:
        names = [self._get_table] if self._get_table else self._with_lookup()
        if len(names) != 1:
            raise missing(
                "/get is ambiguous because several tables have a lookup. Request "
                "/tables/{table}/rows for a table listed by /tables, or set the Terraform "
                "variable api_get_table."
                if names
                else "/get has no table: no valid contract has the custom property 'lookup'. "
                "Add it to a contract."
            )
        contract = self._contract(names[0])
        view = View.of(contract)
        if view is None:
            raise missing(
                f"The contract of {names[0]} has no 'lookup', so the API cannot return its rows. "
                "Add one, or set the Terraform variable api_get_table to another table."
            )
        spec = TableSpec.of(view)
        return self._build(get_route(spec, self._pages(view), self._freshness(contract)))

    def _with_lookup(self) -> list[str]:
        return [name for name, contract in self._contracts().items() if contract.lookup]

    def _contract(self, name: str) -> Contract:
        try:
            return self._contracts()[name]
        except InvalidContract:
            # Omit the reason because it quotes the contract.
            raise missing(
                f"The contract of {name} is invalid, so the API does not serve the table. "
                "Operators can run `tm doctor` to see the errors."
            ) from None
        except KeyError:
            raise missing(f"No table {quoted(name)}. See /tables for all tables.") from None

    def _pages(self, view: View) -> Callable[[], Pages]:
        pages = Pages(view, self._run)
        return lambda: pages

    def _freshness(self, contract: Contract | None = None) -> Freshness:
        edition = contract and contract.model_dump_json()
        return Freshness(self._last_change, f"{_code_hash()} {edition}")

    def _build(
        self, *routers: APIGatewayRouter, instead: Exception | None = None
    ) -> APIGatewayRestResolver:
        app = APIGatewayRestResolver(enable_validation=True, cors=self._cors)
        handle_errors(app, instead)
        for router in routers:
            app.include_router(router)
        return app


def _cors(origins: list[str]) -> CORSConfig | None:
    if not origins:
        return None
    first, *others = origins
    return CORSConfig(
        first,
        others,
        allow_headers=["If-None-Match", "X-Amz-Content-Sha256"],
        expose_headers=["ETag", "Retry-After"],
        max_age=600,
    )


@functools.cache
def _code_hash() -> str:
    """Return a hash of all source files that affect responses."""
    root = Path(__file__).parents[2]
    files = sorted([*root.glob("functions/api/*.py"), *root.glob("shared/*.py")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _unused() -> NoReturn:
    raise NotImplementedError("the general document needs no table")
