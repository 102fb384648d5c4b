"""Base class of the models in a contract, and the error for their problems."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Problems(ValueError):
    """Problems of a part of a contract, one text each."""

    @classmethod
    def check(cls, found: Iterable[str]) -> None:
        """Raise a `Problems` with all texts in `found`, if there are any."""
        if texts := [*found]:
            raise cls(*texts)


class Model(BaseModel):
    """Base of the models: immutable, and without unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )
