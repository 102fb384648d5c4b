"""Authentication to the lookup API: by API key or by AWS signature."""

from collections.abc import Callable
from dataclasses import dataclass, field

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from requests import PreparedRequest
from requests.auth import AuthBase


@dataclass(frozen=True)
class Key(AuthBase):
    """The stack's API key, with `api_auth = "key"`."""

    value: str = field(repr=False)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the key to a request."""
        request.headers["x-api-key"] = self.value
        return request


@dataclass(frozen=True)
class Signature(AuthBase):
    """An AWS signature, with `api_auth = "iam"`; the caller needs execute-api:Invoke."""

    credentials: Callable[[], Credentials | None]
    """Returns the current credentials, or None if there are none."""
    region: str

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request; raise NoCredentialsError without credentials."""
        credentials = self.credentials()
        if credentials is None:
            raise NoCredentialsError
        path, mark, query = (request.url or "").partition("?")
        # AWS encodes a space as %20. A plus sign is already encoded as %2B.
        request.url = path + mark + query.replace("+", "%20")
        signed = AWSRequest(request.method, request.url)
        SigV4Auth(credentials, "execute-api", self.region).add_auth(signed)
        request.headers.update(signed.headers.items())
        return request
