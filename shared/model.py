"""Base class of the models in a contract, the error for their problems, and common fields."""

import functools
from collections.abc import Iterable
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from shared.text import bounded, quoted


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


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:  # "Europe" is a folder of zones
        raise ValueError(
            f"{quoted(name)} is not a time zone: use an IANA name, e.g. Europe/Berlin"
        ) from error
    return name


Zone = Annotated[str, AfterValidator(_zone)]
Description = Annotated[str, AfterValidator(functools.partial(bounded, limit=1_000))]
"""Description of a table or column for readers, cut after 1,000 characters."""
