"""The application: every route, of the tables that have a valid contract, and of none."""

import functools
import hashlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api.form import ANY, Form
from functions.api.freshness import Freshness, LastChange
from functions.api.ingestions import ingestions
from functions.api.lookups import by_name, lookups, nothing_to_look_up
from functions.api.open_routes import documentation, health
from functions.api.openapi import document
from functions.api.pagination import Pages, RunStatement
from functions.api.problems import missing, tell_problems
from functions.api.tables import described, table, tables
from functions.api.view import View
from shared.contract import Contract
from shared.errors import InvalidContract
from shared.ingestion_log import IngestionLog
from shared.text import quoted

_TITLE = "Look-up"
_DESCRIPTION = "What was loaded, and what became of each file."


class Application:
    """Answers each request by the routes of its table, or by those of no table.

    The routes of a table are made when they are first asked for: their parameters are those of its
    contract, and a stack may have hundreds of tables.
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
        """Take what the routes stand on.

        Args:
            contracts: returns the valid ones, by table; what it says of another is a KeyError, or
                InvalidContract. They never change. Routes of no table answer without them.
            run: executes a statement of PostgreSQL.
            log: returns the log of ingestions.
            get_table: whose rows `/get` returns; None for the only one with a look-up.
            origins: those whose pages in browsers may ask.
        """
        self._contracts = contracts
        self._run = run
        self._log = log
        self._last_change = LastChange(log)
        self._get_table = get_table
        self._cors = _cors(sorted(origins))
        self._of_table = functools.cache(self._make_table)
        self._by_name = functools.cache(self._make_by_name)
        self._of_no_table = functools.cache(self._make_of_no_table)

    def resolve(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer a request of API Gateway."""
        try:
            app = self._app(event["httpMethod"], event["path"])
        except Exception as error:
            # It is told as one that a route raises.
            app = self._made(instead=error)
        return app.resolve(event, context)

    def _app(self, method: str, path: str) -> APIGatewayRestResolver:
        # Nothing is decoded: the policies of callers name paths as they are sent.
        match path.rstrip("/").split("/"):
            case _ if method == "OPTIONS":
                return self._of_no_table()
            case ["", "get"]:
                return self._by_name()
            case ["", "tables", table, *_] if table:
                return self._of_table(table)
        return self._of_no_table()

    def _make_of_no_table(self) -> APIGatewayRestResolver:
        return self._made(
            health(),
            documentation(lambda: document(self._of_no_table(), _TITLE, _DESCRIPTION)),
            ingestions(self._log),
            tables(self._contracts),
            # For the document: requests for these never come here.
            table(ANY.path, _never),
            documentation(_never, ANY.path),
            by_name(ANY, _never, self._fresh()),
            lookups(ANY, _never, self._fresh()),
        )

    def _make_table(self, name: str) -> APIGatewayRestResolver:
        contract = self._contract(name)
        view = View.of(contract)
        path = f"/tables/{name}"
        return self._made(
            table(path, lambda: described(contract)),
            documentation(
                lambda: document(
                    self._of_table(name),
                    f"{_TITLE} of {name}",
                    contract.description,
                    server="../..",
                ),
                path,
            ),
            nothing_to_look_up(name)
            if view is None
            else lookups(Form.of(view), self._pages(view), self._fresh(contract)),
        )

    def _make_by_name(self) -> APIGatewayRestResolver:
        names = [self._get_table] if self._get_table else self._with_lookup()
        if len(names) != 1:
            raise missing(
                "Several tables have a look-up: ask /tables/{table}/rows for one that /tables "
                "lists, or name the table of /get by the module's variable api_get_table."
                if names
                else "There is nothing to look up: no valid contract has the custom property "
                "'lookup'."
            )
        contract = self._contract(names[0])
        view = View.of(contract)
        if view is None:
            raise missing(
                f"The contract of {names[0]} has no 'lookup', so its rows cannot be asked for: "
                "give it one, or name another table by the module's variable api_get_table."
            )
        return self._made(by_name(Form.of(view), self._pages(view), self._fresh(contract)))

    def _with_lookup(self) -> list[str]:
        return [name for name, contract in self._contracts().items() if contract.lookup]

    def _contract(self, name: str) -> Contract:
        try:
            return self._contracts()[name]
        except InvalidContract:
            # Not the reason: it quotes the contract.
            raise missing(
                f"The contract of {name} is invalid, so nothing is told of the table until it is "
                "mended. `tm doctor` tells operators what is wrong with it."
            ) from None
        except KeyError:
            raise missing(f"There is no table {quoted(name)}: /tables lists them.") from None

    def _pages(self, view: View) -> Callable[[], Pages]:
        pages = Pages(view, self._run)
        return lambda: pages

    def _fresh(self, contract: Contract | None = None) -> Freshness:
        edition = contract and contract.model_dump_json()
        return Freshness(self._last_change, f"{_code()} {edition}")

    def _made(
        self, *routers: APIGatewayRouter, instead: Exception | None = None
    ) -> APIGatewayRestResolver:
        app = APIGatewayRestResolver(enable_validation=True, cors=self._cors)
        tell_problems(app, instead)
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
def _code() -> str:
    """Return a hash of all that may write an answer in another way."""
    root = Path(__file__).parents[2]
    files = sorted([*root.glob("functions/api/*.py"), *root.glob("shared/*.py")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _never() -> NoReturn:
    raise NotImplementedError("a document is drawn up without any table")
