"""Environment of the simulations: the real handlers and PostgreSQL, with AWS by moto."""

import datetime as dt
import functools
import heapq
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, Protocol, Self, TypeVar

import boto3
import pg8000.native
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table
from moto.moto_api._internal import mock_random

from functions.watch import backlog, landed, reconciliation
from shared import database, settings
from shared.contract_set import Contracts
from shared.ingestion_log import IngestionLog
from shared.telemetry import logger
from tests.fixtures.aws import LANDING, LOG_TABLE, REGION, STAGING
from tests.fixtures.database import Database
from tests.storms.weather import Fault
from tests.storms.wire import Boundary, Monitor, Wire

T = TypeVar("T")

_REFUSALS = {
    "s3": (503, "<Error><Code>SlowDown</Code><Message>a storm</Message></Error>"),
    "sns": (
        400,
        "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>"
        "<Message>a storm</Message></Error><RequestId>x</RequestId></ErrorResponse>",
    ),
}
_REFUSED = (400, json.dumps({"__type": "ThrottlingException", "message": "a storm"}))


def refusal(request: AWSPreparedRequest, service: str) -> AWSResponse:
    """Return the answer of an AWS service that throttles a request."""
    return answer(request, *_REFUSALS.get(service, _REFUSED))


def answer(request: AWSPreparedRequest, status: int, body: str) -> AWSResponse:
    return AWSResponse(request.url, status, HTTPHeaders(), MockRawResponse(body))


def notices(request: Any) -> list[dict[str, Any]]:
    """Return the EventBridge events of a PutEvents request."""
    return [
        {
            "source": entry["Source"],
            "detail-type": entry["DetailType"],
            "detail": json.loads(entry["Detail"]),
        }
        for entry in json.loads(request.body)["Entries"]
    ]


class Simulation(Boundary, Protocol):
    """The interface of a simulation to the environment."""

    @property
    def patience(self) -> float:
        """Seconds for which Load waits for an unavailable database."""

    def aws(
        self, service: str, operation: str, request: Any, send: Callable[[], AWSResponse]
    ) -> AWSResponse:
        """Answer a request to AWS."""


class InThisThread:
    """Replaces a pool of threads, because only the scheduler may start actors."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        done: Future[T] = Future()
        done.set_result(work())
        return done


class WithoutDatabase:
    """Base of simulations that must not call PostgreSQL."""

    patience = 0.0

    def reach(
        self, service: str, at: str, *, contends: str | None = None, backend: int | None = None
    ) -> Fault | None:
        raise AssertionError(f"PostgreSQL was called: {service} {at}")

    def leave(self, fault: Fault | None) -> None:
        raise AssertionError("PostgreSQL has answered")


@dataclass
class Environment:
    """The services that simulations share; each simulation begins with empty ones."""

    database: Database
    session: pg8000.native.Connection
    monitor: Monitor
    machine: str
    topic: str
    patch: pytest.MonkeyPatch
    simulation: Simulation | None = None
    time: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    def now(self, _: dt.tzinfo) -> dt.datetime:
        """Return a unique time for the log, 1 ms after the last one."""
        self.time += dt.timedelta(milliseconds=1)
        return self.time

    def allow(self, most: int) -> None:
        """Set the maximum number of concurrent runs."""
        self.patch.setenv("MAX_CONCURRENCY", str(most))
        settings.read.cache_clear()

    def deploy(self, contracts: Contracts) -> None:
        """Set the contracts of all functions."""
        self.patch.setattr("shared.contract_store._once", lambda *_: contracts)

    def clear(self, seed: int, start: dt.datetime | None = None) -> None:
        """Empty all services, seed the random IDs of moto, and set the clock: to now by default."""
        self.session.run("TRUNCATE source, daily_checkins_rows RESTART IDENTITY CASCADE")
        for bucket in (LANDING, STAGING):
            _backend("s3", "aws").buckets[bucket].keys.clear()
        _backend("dynamodb").tables[LOG_TABLE].items.clear()
        self.executions.clear()
        _backend("sns").topics[self.topic].sent_notifications.clear()
        mock_random.seed(seed)
        self.time = start or dt.datetime.now(dt.UTC)

    @property
    def executions(self) -> Any:
        """The executions of the state machine in moto."""
        return _backend("stepfunctions").describe_state_machine(self.machine).executions

    @property
    def messages(self) -> list[Any]:
        """The records published to the topic."""
        sent = _backend("sns").topics[self.topic].sent_notifications
        return [json.loads(json.loads(message)["default"]) for _, message, *_ in sent]

    @property
    def log(self) -> IngestionLog:
        return IngestionLog.of(LOG_TABLE)


@contextmanager
def simulated_environment(
    migrated: Database, machine: str, patch: pytest.MonkeyPatch
) -> Iterator[Environment]:
    """Yield an environment in which simulations intercept all I/O."""
    topic = boto3.client("sns", region_name=REGION).create_topic(Name="alerts")["TopicArn"]
    patch.setenv("TOPIC_ARN", topic)
    patch.setenv("DATABASE_SECRET_ARN", migrated.loader.secret_arn)
    patch.setenv("POWERTOOLS_SERVICE_NAME", "storm")
    patch.setenv("AWS_MAX_ATTEMPTS", "1")
    patch.setattr(logger._logger, "disabled", True)
    with migrated.connected() as session:
        environment = Environment(
            migrated, session, Monitor(session, migrated.loader.name), machine, topic, patch
        )
        _intercept(environment, patch)
        yield environment


def _intercept(environment: Environment, patch: pytest.MonkeyPatch) -> None:
    """Pass all I/O of the functions through the current simulation."""
    stubber, connect, retry_until_available = (
        BotocoreStubber.__call__,
        database.connect,
        database.retry_until_available,
    )

    def ask(self: BotocoreStubber, event_name: str, request: Any, **more: Any) -> Any:
        def send() -> Any:
            return stubber(self, event_name, request, **more)

        if environment.simulation is None:
            return send()
        _, service, operation = event_name.split(".")
        return environment.simulation.aws(service, operation, request, send)

    def connect_in_storm(*arguments: Any) -> database.Connection:
        assert environment.simulation is not None
        fault = environment.simulation.reach("connect", "connect")
        if fault is Fault.REFUSED:
            with database._translated("the storm"):
                raise ConnectionRefusedError
        connection = connect(*arguments)
        connection._session = Wire(connection, environment.simulation, environment.monitor)
        try:
            environment.simulation.leave(fault)
        except BaseException:
            connection.abandon()
            raise
        return connection

    def wait_in_storm(work: Callable[[], Any]) -> Any:
        assert environment.simulation is not None
        return retry_until_available(work, environment.simulation.patience)

    patch.setattr(BotocoreStubber, "__call__", ask)
    patch.setattr("functions.load.session.connect", connect_in_storm)
    patch.setattr("functions.load.loading.ThreadPoolExecutor", InThisThread)
    patch.setattr("functions.load.session.retry_until_available", wait_in_storm)
    patch.setattr(reconciliation, "GRACE", dt.timedelta(days=-1))
    # The files are of an old day, so watch must sweep for them: on each call, in small steps.
    patch.setattr(landed, "EVERY", dt.timedelta(0))
    patch.setattr(landed, "PAGES", 1)
    patch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")
    # With real time, the order of writes within a millisecond would not be deterministic.
    clock = SimpleNamespace(now=environment.now)
    patch.setattr(
        "shared.ingestion_log.dt",
        SimpleNamespace(datetime=clock, timedelta=dt.timedelta, UTC=dt.UTC),
    )
    nobody_sleeps = SimpleNamespace(sleep=lambda _: None, monotonic=lambda: 0.0)
    patch.setattr(backlog, "time", nobody_sleeps)
    patch.setattr(backlog, "_EVERY", -1.0)
    for module in ("botocore.endpoint", "tenacity.nap", "awswrangler._utils"):
        patch.setattr(f"{module}.time", nobody_sleeps)
    patch.setattr("awswrangler._utils.ensure_cpu_count", lambda use_threads=True: 1)
    # moto looks up ten possible types of each value by five names, which is slow.
    get_value = ResponseSerializer.get_value

    def quick_value(self: ResponseSerializer, value: Any, key: str, shape: Any) -> Any:
        if getattr(getattr(shape, "parent", None), "name", None) == "AttributeValue":
            return value.get(key)
        return get_value(self, value, key, shape)

    patch.setattr(ResponseSerializer, "get_value", quick_value)
    patch.setattr(Table, "query", _quick_query)
    # Creating clients is slow; they are safe to share.
    for kind in ("client", "resource"):
        make = getattr(boto3.session.Session, kind)
        patch.setattr(boto3.session.Session, kind, _once(make))


_query = Table.query
_PLACE = ("updatedAt", "ingestedID", "ingestedTable")
"""The sort order of the index `status`."""


def _quick_query(self: Table, *request: Any, **conditions: Any) -> Any:
    """Query a table, but let moto sort only the items of index `status` that the answer needs."""
    _, comparison, _, limit, after, forward, _, index, *_ = request
    if index != "status" or comparison or not limit or not forward:
        return _query(self, *request, **conditions)
    [(_, status)] = conditions["hash_key_conditions"]
    begin = tuple(after[name]["S"] for name in _PLACE) if after else ()
    items = itertools.chain.from_iterable(rows.values() for rows in self.items.values())
    found = (item for item in items if _text(item, "status") == status.value)
    placed = ((tuple(_text(item, name) for name in _PLACE), item) for item in found)
    first = heapq.nsmallest(limit + 2, (each for each in placed if each[0] >= begin), itemgetter(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(self, "all_items", lambda: [item for _, item in first])
        return _query(self, *request, **conditions)


def _text(item: Item, name: str) -> Any:
    return item.attrs[name].value if name in item.attrs else None


def _once(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.cache
    def made(session: boto3.session.Session, service: str) -> Any:
        return make(session, service)

    def of(session: boto3.session.Session, service_name: str, **_: Any) -> Any:
        return made(session, service_name)

    return of


def _backend(service: str, region: str = REGION) -> Any:
    return get_backend(service)[DEFAULT_ACCOUNT_ID][region]
