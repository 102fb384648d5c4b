"""Classification of landed keys: what an object is, by its key and the contracts."""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from shared import regex
from shared.contract import Contract
from shared.contract_set import Contracts
from shared.errors import InvalidContract
from shared.key_pattern import KEY
from shared.landing_key import HIVE, LandingKey, is_file_key, is_ignored
from shared.text import listed, quoted


@dataclass(frozen=True, slots=True)
class ManifestKey:
    """Key of a manifest of one or more tables, by its name; it may belong to no file."""

    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IgnoredKey:
    """Key of a folder, which has no name, of a marker such as `_SUCCESS`, or of a partial file."""

    name: str


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """Key of no table, of two, or of one with an invalid contract."""

    reason: str


Classified = LandingKey | ManifestKey | IgnoredKey | UnknownKey


def classify(key: str, contracts: Contracts) -> Classified:
    """Return what the object with a URL-decoded key is.

    Parses only the contracts that may say so: the one that a key `table=…` names, else those that
    seem to have patterns.
    """
    name = key.rpartition("/")[2]
    if not name:
        return IgnoredKey("")
    manifest_of = _manifest_of(key, name, contracts)
    found = data_key(key, contracts, but_of=manifest_of)
    if isinstance(found, LandingKey) and not is_ignored(key):
        return found
    if manifest_of:
        return ManifestKey(manifest_of)
    return IgnoredKey(name) if is_ignored(key) else found


def data_key(
    key: str, contracts: Contracts, *, but_of: tuple[str, ...] = ()
) -> LandingKey | UnknownKey:
    """Return the key of a file whose rows a table may have, even if the file is ignored today.

    `but_of` are tables for which it is no data file.
    """
    if not key.startswith(HIVE):
        return _of_pattern(key, contracts, but_of)
    parsed = LandingKey.parse(key)
    if parsed is None or parsed.table in but_of:
        return UnknownKey(
            f"the key {quoted(key, KEY)} does not have the form "
            "table=<table>/year=<yyyy>/month=<m>/day=<d>/<file>, has an invalid date, or "
            "contains a NUL character"
        )
    try:
        contracts[parsed.table]
    except InvalidContract as error:
        return UnknownKey(f"the contract of table {parsed.table!r} is invalid: {error}")
    except KeyError:
        tables = listed(contracts.tables)
        return UnknownKey(
            f"there is no contract for table {parsed.table!r}; the contracts are for {tables}"
        )
    return parsed


def _of_pattern(key: str, contracts: Contracts, but_of: tuple[str, ...]) -> LandingKey | UnknownKey:
    named = f"the key {quoted(key, KEY)}"
    if not is_file_key(key):
        return UnknownKey(f"{named} contains a NUL character")
    found: dict[str, LandingKey | str] = {}
    for contract in with_keys(contracts):
        # A pattern that gives a possible day comes before one that does not.
        read = sorted(matches(key, contract), key=lambda each: isinstance(each, str))
        if read and contract.table not in but_of:
            found[contract.table] = read[0]
    match [*found.items()]:
        case []:
            reason = (
                f"{named} does not have the form table=<table>/year=<yyyy>/month=<m>/day=<d>/<file>"
                ", and no pattern in the `keys` of a contract matches it"
            )
            invalid = [each for each in contracts.mentioning("keys") if each not in contracts]
            if invalid:
                reason += f"; the patterns of invalid contracts are unknown: {listed(invalid)}"
            return UnknownKey(reason)
        case [(_, LandingKey() as parsed)]:
            return parsed
        case [(table, str(reason))]:
            return UnknownKey(f"{named} matches a pattern of table {table!r}, but {reason}")
        case _:
            return UnknownKey(
                f"{named} matches patterns of the tables {listed([*found])}: make the patterns of "
                "their contracts differ, then run `tm backfill` for one of the tables"
            )


def with_keys(contracts: Contracts) -> Iterator[Contract]:
    """Yield the valid contracts with patterns; parses few others."""
    for table in contracts.mentioning("keys"):
        if table in contracts and (contract := contracts[table]).keys:
            yield contract


def matches(key: str, contract: Contract) -> Iterator[LandingKey | str]:
    """Yield how each matching pattern of a contract reads a key, or why it cannot."""
    zone = ZoneInfo(contract.timezone)
    found = (each.read(key, contract.table, zone) for each in contract.keys)
    return (each for each in found if each is not None)


def overlaps(contracts: Contracts) -> list[str]:
    """Return the sample keys that patterns of two contracts match, each as a problem."""
    keyed = [*with_keys(contracts)]
    examples = [(each.table, key) for each in keyed for one in each.keys for key in one.examples]
    found: dict[tuple[str, str], dict[str, None]] = {each: {} for each in examples}
    for other in keyed:
        for pattern in other.keys:
            prefix = pattern.prefix  # much faster to compare
            for (table, key), others in found.items():
                is_near = key.startswith(prefix) and table != other.table
                if is_near and regex.matches(pattern.pattern, key):
                    others[other.table] = None
    return [
        f"{table} and {' and '.join(others)}: patterns in the `keys` of each match "
        f"{quoted(key, KEY)}, an example of {table}, so files with such keys are rejected: make "
        "the patterns differ"
        for (table, key), others in found.items()
        if others
    ]


def _manifest_of(key: str, name: str, contracts: Contracts) -> tuple[str, ...]:
    """Return the tables for which a file may be a manifest, by its name."""
    if key.startswith(HIVE):
        parsed = LandingKey.parse(key)
        named = [contracts[parsed.table]] if parsed and parsed.table in contracts else []
    else:
        named = [*with_keys(contracts)]
    return tuple(each.table for each in named if each.manifest and each.manifest.is_name(name))
