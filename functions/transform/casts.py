"""Casts the text of rows to the contract's types, and explains each failed cast."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from functions.transform import jsonb, numbers, timestamps
from shared.column import Column
from shared.column_types import UUID
from shared.contract import Contract
from shared.rows import REPEATED, Rows

_WIDE = pa.decimal128(38, 0)  # wider than any column, to compare with its limits
_EXPONENT = "([eE][+-]?[0-9]+)?"
_SAMPLED = 1_000
"""Texts of a chunk that show whether the texts of a column repeat."""
_ADVISED = 1_000
"""Distinct texts of a column and chunk that are cast again to advise on options."""
_KNOWN, _KNOWN_BYTES = 64, 10_000
"""Maximum lists of rejected texts whose reasons are kept for the next chunks, and their bytes."""
_INTEGERS = {2: pa.int16(), 4: pa.int32(), 8: pa.int64()}
_FLOATS = {4: pa.float32(), 8: pa.float64()}

SUSPECT_SCHEMA = pa.schema(
    [
        ("line", pa.int64()),
        ("raw", pa.string()),
        ("column", REPEATED),
        ("value", pa.string()),
        ("rule", REPEATED),
        ("reason", REPEATED),
        ("rawBase64", pa.string()),
    ]
)
"""One problem of one row; `column` and `value` are null if the whole row is malformed.

`rawBase64` is null unless the row has undecodable bytes.
"""


@dataclass(frozen=True, slots=True)
class Cast:
    """Clean rows, with the contract's columns and `line`; and the problems of suspect rows.

    `clean` has the columns of `schema`, but those whose values repeat are dictionaries of them.
    `suspects` has the schema `SUSPECT_SCHEMA` and is sorted by line.
    """

    clean: pa.Table
    suspects: pa.Table

    @property
    def suspect_rows(self) -> int:
        """The number of suspect rows. A row may have several problems."""
        return int(np.count_nonzero(np.diff(self.suspects["line"].to_numpy(), prepend=0)))


@dataclass(frozen=True, slots=True)
class _Values:
    """A cast column. Null texts and failed casts are null; `failed` has the latter's indices."""

    values: pa.Array | pa.DictionaryArray
    failed: pa.UInt64Array | None = None
    reasons: pa.DictionaryArray | None = None


def schema(contract: Contract) -> pa.Schema:
    """Return the schema of clean Parquet parts: the contract's columns in its order, and `line`.

    The columns have their physical names, because a name in the header may be `line`.
    """
    fields = [pa.field(column.physical_name, arrow_type(column)) for column in contract.columns]
    return pa.schema([*fields, pa.field("line", pa.int64())])


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type that represents a column's values exactly."""
    match column.kind:
        case "string" | "uuid" | "json":
            return pa.string()
        case "integer":
            return _INTEGERS[column.limits.least_bytes]
        case "number":
            return pa.decimal128(column.limits.precision, column.limits.scale)
        case "boolean":
            return pa.bool_()
        case "date":
            return pa.date32()
        case "timestamp":
            return timestamps.TYPE
        case "float":
            return _FLOATS[column.limits.least_bytes]
        case "time":
            return timestamps.TIME_TYPE


Known = dict[tuple[str, ...], pa.DictionaryArray]
"""Reasons of rejected texts, by a column's name and the texts: chunks often reject the same."""


def cast(
    rows: Rows, places: Sequence[int | None], contract: Contract, known: Known | None = None
) -> Cast:
    """Cast rows by the contract; `places` has the index of each of its columns in the rows.

    A column whose place is None is null. `known` is kept for the other chunks of the file.
    """
    known = {} if known is None else known
    suspects = [SUSPECT_SCHEMA.empty_table(), rows.malformed]
    columns = []
    kept = np.ones(len(rows.lines), np.bool_)
    for column, place in zip(contract.columns, places, strict=True):
        if place is None:
            columns.append(pa.nulls(len(rows.lines), arrow_type(column)))
            continue
        texts = texts_of(rows, place, column, contract)
        cast_column = _cast_column(texts, column, contract, known)
        columns.append(cast_column.values)
        if (failed := cast_column.failed) is not None:
            kept[failed] = False
            suspects.append(
                pa.table(
                    {
                        "line": rows.lines.take(failed),
                        "raw": rows.raw_texts(failed.to_numpy()),
                        "column": _repeated(column.name, len(failed)),
                        "value": texts.take(failed),
                        "rule": _repeated(column.kind, len(failed)),
                        "reason": cast_column.reasons,
                    }
                )
            )
    table = pa.Table.from_arrays([*columns, rows.lines], names=schema(contract).names)
    if not kept.all():
        table = table.filter(pa.array(kept))
    found = pa.concat_tables(suspects, promote_options="default")
    lines = found["line"].to_numpy()
    if np.any(lines[1:] < lines[:-1]):
        found = found.combine_chunks().take(np.argsort(lines, kind="stable"))
    return Cast(table, found)


def texts_of(rows: Rows, place: int, column: Column, contract: Contract) -> pa.StringArray:
    """Return the texts of a column; those that the file's format defines as missing are null."""
    texts = rows.columns[place]
    if column.quoted_empty == "missing" and contract.file_format == "csv":
        return pc.fill_null(texts, "")  # the reader may distinguish empty values
    return texts


def values_of(
    texts: pa.StringArray, column: Column, contract: Contract
) -> tuple[pa.Array, pa.Array]:
    """Cast distinct texts; return the texts as the column reads them, and their values.

    A text is null if it means "missing". A value is null for such a text and for a failed cast.
    """
    texts = without_missing(texts, column, contract)
    return texts, _cast_distinct(texts, column, contract)[0]


def _cast_column(
    texts: pa.StringArray, column: Column, contract: Contract, known: Known
) -> _Values:
    different, indices = _different(texts)
    distinct = without_missing(different, column, contract)
    values, _ = _cast_distinct(distinct, column, contract)
    cast_column = values if indices is None else _repeating(values, indices)
    is_failed = pc.and_(distinct.is_valid(), values.is_null())
    if not pc.any(is_failed).as_py():
        return _Values(cast_column)
    failed = pc.indices_nonzero(is_failed if indices is None else is_failed.take(indices))
    # Reasons cost more than values, so only failed texts are cast for them.
    wrong = texts.take(failed).dictionary_encode()
    key = (column.physical_name, *wrong.dictionary.to_pylist())
    why = known.get(key)
    if why is None:
        why = _explained(wrong.dictionary, column, contract)
        if len(known) < _KNOWN and wrong.dictionary.nbytes <= _KNOWN_BYTES:
            known[key] = why
    return _Values(cast_column, failed, why.take(wrong.indices))


def _explained(texts: pa.StringArray, column: Column, contract: Contract) -> pa.DictionaryArray:
    """Return for each rejected text why it is no value of a column, and what would accept it."""
    _, reasons = _cast_distinct(without_missing(texts, column, contract), column, contract)
    advised = texts[:_ADVISED]
    unadvised = pa.array([""] * (len(texts) - len(advised)), pa.string())
    advice = pa.concat_arrays([_advice(advised, column, contract), unadvised])
    return pc.binary_join_element_wise(reasons(), advice, "").dictionary_encode()


def _different(texts: pa.StringArray) -> tuple[pa.StringArray, pa.Int32Array | None]:
    """Return the distinct texts and the index of each text's, to cast each distinct text once.

    If most of the texts differ, return all of them and None, because that takes less time.
    """
    if len(texts) > _SAMPLED and len(texts[:_SAMPLED].unique()) > _SAMPLED // 2:
        return texts, None
    encoded = texts.dictionary_encode()
    return encoded.dictionary, encoded.indices


def _repeating(values: pa.Array, indices: pa.Int32Array) -> pa.DictionaryArray:
    """Return the values at some indices; a null is not in the dictionary but is an index."""
    is_valid = values.is_valid().to_numpy(zero_copy_only=False)
    places = pa.array(np.cumsum(is_valid, dtype=np.int32) - 1, pa.int32(), mask=~is_valid)
    return pa.DictionaryArray.from_arrays(places.take(indices), values.drop_null())


def _advice(texts: pa.StringArray, column: Column, contract: Contract) -> pa.StringArray:
    """Return for each rejected text which options of the contract would accept it."""
    found = pa.array([""] * len(texts), pa.string())
    for option, changed, by in _changes(column, contract):
        values, _ = _cast_distinct(without_missing(texts, changed, by), changed, by)
        joiner = pc.if_else(pc.equal(found, ""), "; to accept it, set ", " or ")
        longer = pc.binary_join_element_wise(found, joiner, option, "")
        found = pc.if_else(values.is_valid(), longer, found)
    return found


def _changes(column: Column, contract: Contract) -> Iterator[tuple[str, Column, Contract]]:
    """Yield options that the contract does not use, with the column and the contract with them."""
    for option, update in column.further_options():
        if update.get("group_char") != contract.decimal_mark:
            yield option, column.model_copy(update=update), contract
    if column.logical_type == "number":
        other = "," if contract.decimal_mark == "." else "."
        if other != column.group_char:
            changed = contract.model_copy(update={"decimal_mark": other})
            yield f"decimalMark: {other!r}", column, changed


def _repeated(text: str, times: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(times, np.int32), [text])


def without_missing(texts: pa.StringArray, column: Column, contract: Contract) -> pa.StringArray:
    """Return the texts as the column reads them, null if they are missing."""
    if column.trim:
        texts = pc.utf8_trim_whitespace(texts)
    tokens = contract.missing(column)
    if column.quoted_empty == "text":
        tokens = tuple(each for each in tokens if each)  # the reader has made the others null
    is_missing = pc.is_in(texts, pa.array(tokens, pa.string()))
    return pc.if_else(is_missing, None, texts) if is_missing.true_count else texts


_Result = tuple[pa.Array, Callable[[], pa.StringArray | pa.StringScalar]]
"""Values, null for failed casts; and a function that returns the reasons."""


def _cast_distinct(texts: pa.StringArray, column: Column, contract: Contract) -> _Result:
    match column.kind:
        case "string":
            return _cast_strings(texts, column)
        case "integer":
            return _cast_integers(texts, column, contract.decimal_mark)
        case "number":
            return _cast_numbers(texts, column, contract.decimal_mark)
        case "boolean":
            return _cast_booleans(texts, column)
        case "date":
            return timestamps.parse_dates(texts, column)
        case "timestamp":
            return timestamps.parse_timestamps(texts, column)
        case "float":
            return _cast_floats(texts, column, contract.decimal_mark)
        case "time":
            return timestamps.parse_times(texts, column)
        case "uuid":
            return _cast_uuids(texts, column)
        case "json":
            return _check_json(texts, column)


def _cast_strings(texts: pa.StringArray, column: Column) -> _Result:
    # PostgreSQL cannot store the character NUL.
    values = _where(pc.invert(pc.match_substring(texts, "\0")), texts)
    return values, lambda: pa.scalar(
        f"{column.name} contains the character NUL, which PostgreSQL cannot store"
    )


def _cast_integers(texts: pa.StringArray, column: Column, mark: str) -> _Result:
    texts = numbers.plain(texts, column, mark)
    # Arrow's widest integers have 38 digits.
    exact = _where(pc.match_substring_regex(texts, r"\A[+-]?0*[0-9]{1,38}\z"), texts).cast(_WIDE)
    integers = column.limits.integers
    fits = pc.and_(
        pc.greater_equal(exact, pa.scalar(Decimal(integers[0]))),
        pc.less_equal(exact, pa.scalar(Decimal(integers[-1]))),
    )
    values = _where(fits, exact).cast(arrow_type(column))
    return values, lambda: pc.if_else(
        pc.match_substring_regex(texts, r"\A[+-]?[0-9]+\z"),
        f"{column.name} is too large for {column.physical_type}",
        f"{column.name} is not an integer (digits only)",
    )


def _cast_numbers(texts: pa.StringArray, column: Column, mark: str) -> _Result:
    precision, scale = column.limits.precision, column.limits.scale
    texts, decimals = numbers.plain(texts, column, mark), numbers.decimals(mark)
    is_short = pc.match_substring_regex(texts, rf"\A[+-]?0*[0-9]{{1,38}}{decimals}\z")
    exact = pc.replace_substring(_where(is_short, texts), mark, ".")
    limit = Decimal(10 ** (precision - scale))
    # Round by the digits: Arrow 25.0 rounds some numbers of many digits wrongly.
    surplus = rf"(\.[0-9]{{{scale}}})[0-9]+\z" if scale else r"()\..*\z"
    cut = pc.replace_substring_regex(exact, surplus, r"\1").cast(pa.decimal256(76, scale))
    cut = _where(pc.less(pc.abs(cut), pa.scalar(limit)), cut).cast(pa.decimal256(38, scale))
    step = pa.scalar(Decimal(1).scaleb(-scale), cut.type)
    outwards = pc.if_else(pc.starts_with(exact, "-"), pc.negate(step), step)
    is_more = pc.match_substring_regex(exact, rf"\.[0-9]{{{scale}}}[5-9]")
    rounded = pc.if_else(is_more, pc.add(cut, outwards), cut)
    fits = pc.less(pc.abs(rounded), pa.scalar(limit))
    values = _where(fits, rounded).cast(arrow_type(column))
    return values, lambda: pc.if_else(
        pc.match_substring_regex(texts, rf"\A[+-]?[0-9]+{decimals}\z"),
        f"{column.name} has more than {precision - scale} digits before the decimal mark",
        f"{column.name} is not a number (digits, optionally followed by {mark!r} and digits)",
    )


def _cast_booleans(texts: pa.StringArray, column: Column) -> _Result:
    tokens = " or ".join([*column.true_tokens, *column.false_tokens])
    if column.ignore_case:
        # Arrow has no case folding.
        texts = pa.array([each and column.folded(each) for each in texts.to_pylist()], pa.string())
    true, false = (
        pc.is_in(texts, pa.array([*map(column.folded, each)]))
        for each in (column.true_tokens, column.false_tokens)
    )
    return _where(pc.or_(true, false), true), lambda: pa.scalar(f"{column.name} is not {tokens}")


def _cast_floats(texts: pa.StringArray, column: Column, mark: str) -> _Result:
    texts = numbers.plain(texts, column, mark)
    number = rf"\A[+-]?[0-9]+{numbers.decimals(mark)}{_EXPONENT}\z"
    is_number = pc.match_substring_regex(texts, number)
    exact = pc.replace_substring(_where(is_number, texts), mark, ".")
    rounded = exact.cast(arrow_type(column))
    # As PostgreSQL, refuse a number that becomes infinite, or zero although it is not.
    is_zero = pc.invert(pc.match_substring_regex(exact, r"\A[^eE]*[1-9]"))
    fits = pc.and_(pc.is_finite(rounded), pc.or_(pc.not_equal(rounded, 0), is_zero))
    values = pc.add(_where(fits, rounded), pa.scalar(0, rounded.type))  # makes 0 of -0
    return values, lambda: pc.if_else(
        is_number,
        f"{column.name} is too large or too close to zero for {column.physical_type}",
        f"{column.name} is not a number (digits, optionally followed by {mark!r} and digits, and "
        "by e and an exponent)",
    )


def _cast_uuids(texts: pa.StringArray, column: Column) -> _Result:
    is_uuid = pc.match_substring_regex(texts, rf"\A{UUID}\z")
    return pc.ascii_lower(_where(is_uuid, texts)), lambda: pa.scalar(
        f"{column.name} is not a UUID such as 6b9f2a2e-0000-4000-8000-000000000001"
    )


def _check_json(texts: pa.StringArray, column: Column) -> _Result:
    must_be_object = column.logical_type == "object"
    problems = pa.array(
        [
            None if text is None else jsonb.problem(text, must_be_object=must_be_object)
            for text in texts.to_pylist()
        ],
        pa.string(),
    )
    return _where(problems.is_null(), texts), lambda: pc.binary_join_element_wise(
        column.name, problems, " "
    )


def _where(condition: pa.BooleanArray, values: pa.Array | pa.Scalar) -> pa.Array:
    return pc.if_else(condition, values, None)
