"""Classification of landed keys: what an object is, by its key and the contracts."""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

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
    """Key of a folder, of a marker such as `_SUCCESS`, or of an unfinished upload."""


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
    if key.endswith("/"):
        return IgnoredKey()
    found = _of_hive_form(key, contracts) if key.startswith(HIVE) else _of_pattern(key, contracts)
    if isinstance(found, LandingKey | UnknownKey) and is_ignored(key):
        return IgnoredKey()
    return found


def _of_hive_form(key: str, contracts: Contracts) -> LandingKey | ManifestKey | UnknownKey:
    parsed = LandingKey.parse(key)
    if parsed is None:
        return UnknownKey(
            f"the key {quoted(key, KEY)} does not have the form "
            "table=<table>/year=<yyyy>/month=<m>/day=<d>/<file>, has an invalid date, or "
            "contains a NUL character"
        )
    try:
        contract = contracts[parsed.table]
    except InvalidContract as error:
        return UnknownKey(f"the contract of table {parsed.table!r} is invalid: {error}")
    except KeyError:
        tables = listed(contracts.tables)
        return UnknownKey(
            f"there is no contract for table {parsed.table!r}; the contracts are for {tables}"
        )
    return ManifestKey((contract.table,)) if _is_manifest(parsed.filename, contract) else parsed


def _of_pattern(key: str, contracts: Contracts) -> LandingKey | ManifestKey | UnknownKey:
    named = f"the key {quoted(key, KEY)}"
    if not is_file_key(key):
        return UnknownKey(f"{named} contains a NUL character")
    name = key.rpartition("/")[2]
    found: dict[str, LandingKey | str] = {}
    manifests = []
    invalid = []
    for table in contracts.mentioning("keys"):
        try:
            contract = contracts[table]
        except InvalidContract:
            invalid.append(table)
            continue
        if contract.keys and _is_manifest(name, contract):
            manifests.append(table)
        # A pattern that gives a possible day comes before one that does not.
        elif read := sorted(matches(key, contract), key=lambda each: isinstance(each, str)):
            found[table] = read[0]
    match [*found.items()]:
        case []:
            pass
        case [(_, LandingKey() as parsed)]:
            return parsed
        case [(table, str(reason))]:
            return UnknownKey(f"{named} matches a pattern of table {table!r}, but {reason}")
        case _:
            return UnknownKey(
                f"{named} matches patterns of the tables {listed([*found])}: make the patterns of "
                "their contracts differ, then run `tm backfill` for one of the tables"
            )
    if manifests:
        return ManifestKey(tuple(manifests))
    reason = (
        f"{named} does not have the form table=<table>/year=<yyyy>/month=<m>/day=<d>/<file>, and "
        "no pattern in the `keys` of a contract matches it"
    )
    if invalid:
        reason += f"; the contracts of {listed(invalid)} are invalid, so their patterns are unknown"
    return UnknownKey(reason)


def matches(key: str, contract: Contract) -> Iterator[LandingKey | str]:
    """Yield how each matching pattern of a contract reads a key, or why it cannot."""
    zone = ZoneInfo(contract.timezone)
    found = (each.read(key, contract.table, zone) for each in contract.keys)
    return (each for each in found if each is not None)


def _is_manifest(name: str, contract: Contract) -> bool:
    return contract.manifest is not None and contract.manifest.is_name(name)
