"""The look-up API of a laptop cloud that holds rows; and a second one beside it, called by IAM."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

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
"""Names that a URL cannot carry as they are."""
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
    """A look-up API, and who asks it."""

    url: str
    ca_bundle: str
    auth: AuthBase | None = None
    _sessions: list[requests.Session] = field(default_factory=list)

    def get(self, path: str, *, verb: str = "GET", **parameters: str) -> requests.Response:
        """Ask; the path and the parameters may hold any text."""
        query = "&".join(f"{quote(name)}={escaped(value)}" for name, value in parameters.items())
        url = f"{self.url}{path}{'?' if query else ''}{query}"
        return self.session().request(verb, url, auth=self.auth, timeout=60)

    def session(self) -> requests.Session:
        """Return a session; what the throttle refuses is asked again."""
        if not self._sessions:
            made = requests.Session()
            made.trust_env = False
            made.verify = self.ca_bundle
            again = Retry(total=30, status_forcelist=[429], allowed_methods=None)
            made.mount("https://", HTTPAdapter(max_retries=again, pool_maxsize=8))
            self._sessions.append(made)
        return self._sessions[0]


TABLE = "/tables/dailycheckins"
ROWS, KEYS, SUMMARY = (f"{TABLE}/{part}" for part in ("rows", "keys", "summary"))


def escaped(text: str) -> str:
    """Return a text as one part of a URL, even one that is no Unicode."""
    return quote(text, safe="", errors="surrogatepass")


@pytest.fixture(scope="session")
def filled(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The session's pipeline, with a sample's rows and some of people with odd names."""
    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    sample.write(path, SAMPLED, seed=7)
    pipeline.ingest(path.read_bytes(), day=1, name="sample.csv")
    rows = [f'"{quoted}",{AT},1.5,x' for quoted in (name.replace('"', '""') for name in PEOPLE)]
    assert pipeline.ingest("\n".join([HEADER, *rows]), day=2)["rowsLoaded"] == len(PEOPLE)
    # Watch hears of the end of a run after everybody else has, and writes to the log then.
    eventually(lambda: not pipeline.log.slots())
    return pipeline


@pytest.fixture
def untouched(filled: Pipeline) -> Iterator[None]:
    """Whatever the test does, database and log are afterwards what they were before."""
    before = _contents(filled)
    assert before["daily_checkins"][0] > SAMPLED / 2
    yield
    assert _contents(filled) == before


def _contents(pipeline: Pipeline) -> dict[str, Any]:
    """Return how many rows each table has and their checksum, and the items of the log."""
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
    """The laptop's API, asked with its key."""
    laptop = filled.laptop
    return Api(laptop.stack.api_url, laptop.aws.ca_bundle, Key(filled.outputs["api_key"]))


@pytest.fixture(scope="session")
def document(by_key: Api) -> dict[str, Any]:
    """What the API says of itself to everybody."""
    found: dict[str, Any] = by_key.get("/openapi.json").json()
    return found


@dataclass
class Signed:
    """A second stack over the same database, with everything on that is off on the laptop's."""

    laptop: Laptop
    root: Root
    outputs: dict[str, Any]

    @property
    def url(self) -> str:
        """Where its API answers."""
        return f"{self.laptop.aws.endpoint_url}/_aws/execute-api/{self.outputs['api_id']}/Prod"

    def api(self, credentials: Credentials | None) -> Api:
        """Its API, asked by somebody, or by nobody."""
        auth = credentials and Signature(lambda: credentials, self.laptop.aws.region)
        return Api(self.url, self.laptop.aws.ca_bundle, auth or None)

    def caller(self, name: str, *resources: str) -> Credentials:
        """Make a user who may call these parts of the API."""
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
        """Apply, with that throttle."""
        applied = json.loads((self.laptop.home / "terraform" / "main.tf.json").read_text())
        laptop = applied["module"]["pipeline"]
        pipeline = {
            "source": os.path.relpath(CHECKOUT / "terraform", self.root.folder),
            "name": "tm-signed",
            "api_cors_origins": [ORIGIN],
            "api_throttle": {"rate": rate, "burst": burst},
            "api_access_logs": True,
            "api_web_acl": {"arn": "${aws_wafv2_web_acl.guard.arn}"},
            "database": laptop["database"],
            "function_zip": laptop["function_zip"],
        }
        document = {
            "module": {"pipeline": pipeline},
            # Made in the same apply, as most would.
            "resource": {"aws_wafv2_web_acl": {"guard": WEB_ACL}},
            "output": {"stack": {"value": "${module.pipeline}", "sensitive": True}},
        }
        (self.root.folder / "main.tf.json").write_text(json.dumps(document))
        self.root.run("init", "-input=false")
        self.root.run("apply", "-auto-approve", "-input=false")
        self.outputs = self.root.outputs()["stack"]


@pytest.fixture(scope="session")
def signed(filled: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """The second stack, with a throttle that nobody reaches; it ends with its cloud."""
    laptop = filled.laptop
    folder = tmp_path_factory.mktemp("signed").resolve()
    root = Root.of(folder / "root", laptop.aws)
    root.folder.mkdir()
    made = Signed(laptop, root, {})
    made.apply(rate=10_000, burst=5_000)
    return made


def tool_of(variable: str) -> Path:
    """Return what `make test-api` has installed beside the project."""
    if variable not in os.environ:
        pytest.fail(f"{variable} is not set: run `make test-api`.")
    return Path(os.environ[variable])
