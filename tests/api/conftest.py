"""The lookup API of a laptop cloud with rows, and a second stack's API with IAM authorization."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
from botocore.credentials import Credentials
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from cli.authorization import Key, Signature
from local import sample
from tests.fixtures.laptop import Laptop
from tests.fixtures.pipeline import AT, HEADER, Pipeline, eventually
from tests.stand_ins import CHECKOUT
from tests.terraform.emulation import Root

SAMPLED = 20_000
PEOPLE = ["ned stark", "o'brien+co", "Ünïcödé Мария 田中", 'a "quoted" \\ # name?', "100% & more"]
"""Names with characters that must be escaped in a URL."""
ORIGIN = "https://reports.example.com"
WEB_ACL = {
    "name": "guard",
    "scope": "REGIONAL",
    "default_action": [{"allow": {}}],
    "visibility_config": {
        "cloudwatch_metrics_enabled": False,
        "metric_name": "guard",
        "sampled_requests_enabled": False,
    },
}


@dataclass(frozen=True)
class Api:
    url: str
    ca_bundle: str
    auth: AuthBase | None = None

    def get(self, path: str, *, verb: str = "GET", **parameters: str) -> requests.Response:
        """Send a request; values of parameters may contain lone surrogates."""
        query = urlencode(parameters, safe="", errors="surrogatepass", quote_via=quote)
        url = f"{self.url}{path}{'?' if query else ''}{query}"
        return self.session.request(verb, url, auth=self.auth, timeout=60)

    @cached_property
    def session(self) -> requests.Session:
        """A session that retries throttled requests."""
        made = requests.Session()
        made.trust_env = False
        made.verify = self.ca_bundle
        retry = Retry(total=30, status_forcelist=[429], allowed_methods=None)
        made.mount("https://", HTTPAdapter(max_retries=retry, pool_maxsize=8))
        return made


TABLE = "/tables/dailycheckins"
ROWS, KEYS, SUMMARY = (f"{TABLE}/{part}" for part in ("rows", "keys", "summary"))


@pytest.fixture(scope="session")
def filled(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The session's pipeline with the rows of a sample and of PEOPLE."""
    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    sample.write(path, SAMPLED, seed=7)
    pipeline.ingest(path.read_bytes(), day=1, name="sample.csv")
    rows = [f'"{quoted}",{AT},1.5,x' for quoted in (name.replace('"', '""') for name in PEOPLE)]
    assert pipeline.ingest("\n".join([HEADER, *rows]), day=2)["rowsLoaded"] == len(PEOPLE)
    # Watch gets the run-end event last and then writes to the log.
    eventually(lambda: not pipeline.log.slots())
    return pipeline


@pytest.fixture
def untouched(filled: Pipeline) -> Iterator[None]:
    """Check that the test changes neither the database nor the log."""
    before = _contents(filled)
    assert before["daily_checkins_rows"][0] > SAMPLED / 2
    yield
    assert _contents(filled) == before


def _contents(pipeline: Pipeline) -> dict[str, Any]:
    """Return the number of rows and a checksum per table, and the items of the log."""
    tables = pipeline.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = {
        table: pipeline.query(
            f"SELECT count(*), md5(string_agg(row::text, ';' ORDER BY row::text)) FROM {table} row"
        )[0]
        for (table,) in tables
    }
    log = pipeline.laptop.aws.resource("dynamodb").Table(pipeline.outputs["log_table"])
    items = log.scan()["Items"]
    found["log"] = sorted(json.dumps(item, default=str, sort_keys=True) for item in items)
    return found


@pytest.fixture(scope="session")
def by_key(filled: Pipeline) -> Api:
    """The laptop's API with its API key."""
    laptop = filled.laptop
    return Api(laptop.stack.api_url, laptop.aws.ca_bundle, Key(filled.outputs["api_key"]))


@pytest.fixture(scope="session")
def document(by_key: Api) -> Any:
    """The public OpenAPI document."""
    return by_key.get("/openapi.json").json()


@dataclass
class Signed:
    """A second stack with the same database and with all options that the laptop's has off."""

    laptop: Laptop
    root: Root
    outputs: dict[str, Any]

    @property
    def url(self) -> str:
        return f"{self.laptop.aws.endpoint_url}/_aws/execute-api/{self.outputs['api_id']}/Prod"

    def api(self, credentials: Credentials | None) -> Api:
        """Return a client with these credentials; None does not sign requests."""
        auth = credentials and Signature(lambda: credentials, self.laptop.aws.region)
        return Api(self.url, self.laptop.aws.ca_bundle, auth or None)

    def caller(self, name: str, *resources: str) -> Credentials:
        """Create a user who may call these resources of the API."""
        iam = self.laptop.aws.client("iam")
        iam.create_user(UserName=name)
        if resources:
            arns = [f"{self.outputs['api_execution_arn']}/{each}" for each in resources]
            allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": arns}
            policy = {"Version": "2012-10-17", "Statement": [allow]}
            iam.put_user_policy(UserName=name, PolicyName="call", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def apply(self, *, rate: int, burst: int) -> None:
        applied = json.loads((self.laptop.home / "terraform" / "main.tf.json").read_text())
        laptop = applied["module"]["pipeline"]
        pipeline = {
            "source": os.path.relpath(CHECKOUT / "terraform", self.root.folder),
            "name": "tm-signed",
            "manage_lifecycle_rules": False,
            "api_cors_origins": [ORIGIN],
            "api_throttle": {"rate": rate, "burst": burst},
            "api_access_logs": True,
            "api_web_acl": {"arn": "${aws_wafv2_web_acl.guard.arn}"},
            "database": laptop["database"],
            "function_zip": laptop["function_zip"],
        }
        document = {
            "module": {"pipeline": pipeline},
            # In the same apply, as in most configurations.
            "resource": {"aws_wafv2_web_acl": {"guard": WEB_ACL}},
            "output": {"stack": {"value": "${module.pipeline}", "sensitive": True}},
        }
        (self.root.folder / "main.tf.json").write_text(json.dumps(document))
        self.root.run("init", "-input=false")
        self.root.run("apply", "-auto-approve", "-input=false")
        self.outputs = self.root.outputs()["stack"]


@pytest.fixture(scope="session")
def signed(filled: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """The second stack, with a throttle that no test reaches. It is removed with its cloud."""
    laptop = filled.laptop
    folder = tmp_path_factory.mktemp("signed").resolve()
    root = Root.of(folder / "root", laptop.aws)
    root.folder.mkdir()
    made = Signed(laptop, root, {})
    made.apply(rate=10_000, burst=5_000)
    return made


def tool_of(variable: str) -> Path:
    """Return the path of a tool that `make test-api` installed."""
    if variable not in os.environ:
        pytest.fail(f"{variable} is not set: run `make test-api`.")
    return Path(os.environ[variable])
