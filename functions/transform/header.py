"""Matches the columns of a file to the contract's."""

from collections import defaultdict
from collections.abc import Iterable

from shared.column import Column
from shared.contract import Contract
from shared.naming import folded
from shared.text import bounded, listed, quoted
from shared.verdict import Refusal

Places = list[int | None]
"""For each column of a contract, its index in the file; None if the file lacks it."""

_MAX_HEADER = 300  # characters of the contract's header in a reason, to leave room for the problems


def match_header(
    header: list[str] | None, width: int, line: int, contract: Contract
) -> Places | Refusal:
    """Return where each of the contract's columns is in the file.

    Args:
        header: the names in the file's header, in the form NFC; None if columns are found by
            position.
        width: the number of the file's columns.
        line: the physical line of the header; by position, of the first row.
        contract: the contract of the file's table.
    """
    if header is None:
        places, problems = _by_position(width, contract)
    else:
        places, problems = _by_name(header, contract)
    if not problems:
        return places
    ours = bounded(contract.dialect.delimiter.join(contract.header), _MAX_HEADER)
    what = "columns" if header is None else "header"
    return Refusal(
        f"line {line} does not match the {what} of {contract.table} ({ours}): {'; '.join(problems)}"
    )


def _by_position(width: int, contract: Contract) -> tuple[Places, list[str]]:
    most = len(contract.columns)
    least = max((i for i, each in enumerate(contract.columns, 1) if not each.optional), default=1)
    if least <= width and (width <= most or contract.header_policy.unknown == "ignore"):
        return [i if i < width else None for i in range(most)], []
    expected = f"{most}" if least == most else f"{least} to {most}"
    if contract.header_policy.unknown == "ignore":
        expected = f"at least {least}"
    return [], [f"{width} column{'s' * (width != 1)} instead of {expected}"]


def _by_name(header: list[str], contract: Contract) -> tuple[Places, list[str]]:
    policy = contract.header_policy
    found: defaultdict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(header):
        found[policy.key(name)].append(index)
    matches = [
        [index for name in column.names for index in found.pop(policy.key(name), ())]
        for column in contract.columns
    ]
    unknown = {header[indices[0]]: indices for indices in found.values()}
    columns = list(zip(contract.columns, matches, strict=True))
    absent = [column for column, indices in columns if not indices]
    similar = _similar(absent, unknown)
    missing = [quoted(column.name) for column in absent if not column.optional]
    # Ignored columns are no problem, but one of them may be the missing one.
    ignored = [*unknown] if policy.unknown == "ignore" and missing else []
    if policy.unknown == "ignore":
        unknown = {}
    repeated = {column.name: indices for column, indices in columns} | unknown
    problems = [
        f"{what}: {listed(sorted(names))}"
        for what, names in (
            ("missing", missing),
            ("unknown", [*map(quoted, unknown)]),
            ("ignored", [*map(quoted, ignored)]),
            ("repeated", _repeated(repeated, header)),
            ("different only in case or blanks", similar),
        )
        if names
    ]
    if similar:
        problems[-1] += " (correct the header, or set match: folded in the headerPolicy)"
    places = [indices[0] if indices else None for indices in matches]
    ours = [place for place in places if place is not None]
    if not problems and policy.order == "contract" and ours != sorted(ours):
        problems.append("the order of the columns differs")
    return places, problems


def _repeated(columns: dict[str, list[int]], header: list[str]) -> list[str]:
    """Return the columns that the file has several times, with their names if these differ."""
    texts = []
    for name, indices in columns.items():
        names = dict.fromkeys(header[index] for index in sorted(indices))
        same = "" if [*names] == [name] else f" (as {listed([*map(quoted, names)])})"
        texts += [quoted(name) + same] if len(indices) > 1 else []
    return texts


def _similar(absent: list[Column], unknown: Iterable[str]) -> list[str]:
    # An optional column would silently be null.
    names = {folded(name): name for column in absent for name in column.names}
    return [
        f"{quoted(name)} instead of {quoted(names[folded(name)])}"
        for name in unknown
        if folded(name) in names
    ]
