"""How the operator's command proves to the look-up API who it is: by the stack's key, or signed."""

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
        """Put the key into a request."""
        request.headers["x-api-key"] = self.value
        return request


@dataclass(frozen=True)
class Signature(AuthBase):
    """A signature, with `api_auth = "iam"`, by somebody who is allowed execute-api:Invoke."""

    credentials: Callable[[], Credentials | None]
    """Tells, when a request is signed, what to sign it with; None where there is nothing."""
    region: str

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request.

        Raises:
            NoCredentialsError: there is nothing to sign it with.
        """
        credentials = self.credentials()
        if credentials is None:
            raise NoCredentialsError
        path, mark, query = (request.url or "").partition("?")
        # A space as AWS writes it; a plus sign itself is %2B in either way of writing.
        request.url = path + mark + query.replace("+", "%20")
        signed = AWSRequest(request.method, request.url)
        SigV4Auth(credentials, "execute-api", self.region).add_auth(signed)
        request.headers.update(signed.headers.items())
        return request
