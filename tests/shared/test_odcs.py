import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.contract import Contract
from shared.errors import InvalidContract
from shared.odcs import load

MINIMAL = """
apiVersion: v3.1.0
kind: DataContract
id: urn:test
version: 1.0.0
status: active
schema:
  - name: feed
    customProperties:
      - {property: indexes, value: [[name]]}
    quality:
      - {name: some, metric: rowCount, mustBeGreaterThan: 0}
    properties:
      - name: name
        logicalType: string
        physicalType: varchar(10)
        required: true
        unique: true
        logicalTypeOptions: {maxLength: 10}
        quality:
          - name: known
            metric: invalidValues
            arguments: {validValues: [a, b]}
            mustBe: 0
      - name: amount
        logicalType: number
        physicalType: numeric(5,2)
        quality:
          - name: within
            metric: invalidValues
            arguments: {minimum: 0, maximum: 24}
            mustBeLessThan: 5
            unit: percent
            severity: warning
      - name: day
        logicalType: date
        physicalType: date
        customProperties:
          - {property: formats, value: [{pattern: dd.MM.yyyy}]}
      - name: paid
        logicalType: boolean
        physicalType: boolean
        customProperties:
          - {property: trueTokens, value: ["yes"]}
          - {property: falseTokens, value: ["no"]}
"""
Change = Callable[[dict[str, Any]], object]


def document() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load(MINIMAL)
    return made


def save(folder: Path, document: dict[str, Any], name: str = "feed") -> Path:
    path = folder / f"{name}.odcs.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    return path


def loaded(folder: Path, *changes: Change) -> Contract:
    made = document()
    for change in changes:
        change(made)
    return load(save(folder, made))


def table(**properties: Any) -> Change:
    """Return a change of the table's properties; None removes one."""
    return lambda document: _update(document["schema"][0], properties)


def column(column_name: str, /, **properties: Any) -> Change:
    """Return a change of a column's properties; None removes one."""

    def change(document: dict[str, Any]) -> None:
        (found,) = [
            each for each in document["schema"][0]["properties"] if each["name"] == column_name
        ]
        _update(found, properties)

    return change


def custom(*, of: str | None = None, **properties: Any) -> Change:
    """Return a change of the custom properties of a column or of the table."""
    values = [{"property": name, "value": value} for name, value in properties.items()]
    return column(of, customProperties=values) if of else table(customProperties=values)


def quality(column_name: str, /, **properties: Any) -> Change:
    """Return a change that gives a column one quality: a valid one except for `properties`."""
    whole = {"name": "q", "metric": "invalidValues", "mustBe": 0} | properties
    return column(column_name, quality=[{k: v for k, v in whole.items() if v is not None}])


def key(**positions: int) -> Change:
    """Return a change that makes columns the primary key, with these positions."""

    def change(document: dict[str, Any]) -> None:
        for name, position in positions.items():
            column(name, primaryKey=True, primaryKeyPosition=position, required=True)(document)

    return change


def unique_rows(properties: list[Any], **more: Any) -> Change:
    """Return a change that makes columns unique together."""
    rule = {"name": "q", "metric": "duplicateValues", "arguments": {"properties": properties}}
    return table(quality=[rule | ({} if "mustBeLessThan" in more else {"mustBe": 0}) | more])


def row_count(**properties: Any) -> Change:
    whole = {"name": "q", "metric": "rowCount"} | properties
    return table(quality=[{k: v for k, v in whole.items() if v is not None}])


def sla(*properties: dict[str, Any], **more: Any) -> Change:
    """Return a change that sets slaProperties; `more` adds a timeOfAvailability with it."""
    by = [{"property": "timeOfAvailability", "value": "09:00"} | more] if more else []
    return lambda document: document.update(slaProperties=[*by, *properties])


def both(first: Change, second: Change) -> Change:
    return lambda document: (first(document), second(document))


def _update(part: dict[str, Any], properties: dict[str, Any]) -> None:
    for key, value in properties.items():
        if value is None:
            part.pop(key, None)
        else:
            part[key] = value


LANDED = {"date": "landed"}
REFUSED: list[tuple[Change, str]] = [
    (column("name", requird=True), "at $.schema[0].properties[0]: ODCS does not define 'requird'"),
    (lambda d: d.pop("version"), "at $: 'version' is a required property: add it"),
    (column("name", logicalTypeOptions={"maxLen": 10}), "define 'maxLen' here: correct the name"),
    (quality("amount", arguments={"minimum": 0}, mustBeLessThan=5), "matches more than one of the"),
    (lambda d: d.update(schema=2 * d["schema"]), "'schema' has 2 tables: write one file per table"),
    (lambda d: d.pop("schema"), "'schema' is missing: add it, with one table"),
    (custom(delimiter=";"), "'timezone']; delimiter can be in the table's dialect"),
    (custom(nullTokens=["-"]), "'timezone']; nullTokens can be in a column"),
    (custom(delimeter=";"), "the table: unknown customProperties ['delimeter']: correct or remove"),
    (custom(of="day", format="x"), "column 'day': unknown customProperties ['format']: correct or"),
    (
        lambda d: d["schema"][0].update(customProperties=2 * d["schema"][0]["customProperties"]),
        "the table: customProperties ['indexes'] occur more than once",
    ),
    (
        lambda d: d.update(customProperties=[{"property": "encoding", "value": "cp1252"}]),
        "customProperties at $.customProperties have no effect: move them to the table "
        "($.schema[0]), to a column or to one of slaProperties",
    ),
    (
        quality(
            "name",
            arguments={"minLength": 1},
            customProperties=[{"property": "notInFuture", "value": True}],
        ),
        "$.schema[0].properties[0].quality[0].customProperties have no effect",
    ),
    (custom(encoding="utf-9"), "the table: encoding: 'utf-9' is not a text encoding"),
    (custom(encodingErrors="replace"), "encodingErrors: Input should be 'refuse' or 'reject'"),
    (custom(encoding="utf-16", encodingErrors="reject"), "its text: remove encodingErrors, or use"),
    (custom(encoding="latin-1", encodingErrors="reject"), "byte is a character in latin-1: remove"),
    (custom(compression={"member": ""}), "compression.member: String should have at least 1"),
    (custom(compression={"maxUnpackedMiB": 0}), "compression.maxUnpackedMiB: Input should be"),
    (custom(compression={"maxUnpackedMib": 9}), "compression.maxUnpackedMib: Extra inputs"),
    (custom(compression={"maxUnpackedMiB": 64, "maxRatio": 9}), "no effect, because it applies to"),
    (
        custom(fileFormat="jsonLines", dialect={"delimiter": ";", "nullSequence": "-"}),
        "properties of the dialect (delimiter) have no effect on JSON lines: remove them",
    ),
    (custom(fileFormat="jsonLines", headerPolicy={"order": "any"}), "match: position and order of"),
    (custom(fileFormat="jsonLines", decimalMark=","), "decimalMark contradicts fileFormat:"),
    (
        lambda d: (custom(fileFormat="jsonLines")(d), custom(of="amount", optional=True)(d)),
        "optional has no effect on JSON lines, because a row may lack any column: remove it from "
        "'amount'",
    ),
    (custom(fileFormat="json"), "fileFormat: Input should be 'csv' or 'jsonLines'"),
    (custom(dialect={"delimiter": "§"}), "the delimiter '§' is not valid"),
    (custom(dialect={"quoteChar": None, "lenientQuotes": True}), "no effect without a quoteChar:"),
    (custom(dialect={"escapeChar": "\\", "lenientQuotes": True}), "with an escapeChar: remove one"),
    (custom(dialect={"delimiter": ""}), "delimiter: String should have at least 1 character"),
    (custom(dialect={"delimiter": '"'}), "must differ: change one of them"),
    (custom(dialect={"quoteChar": "\n"}), "the quoteChar '\\n' is not valid"),
    (custom(dialect={"delimiter": " ", "skipInitialSpace": True}), "a space is the delimiter"),
    *(
        (custom(dialect=wrong), message)
        for wrong, message in (
            ({"header": False, "headerRows": [2]}, "no effect with header: false"),
            ({"header": False, "headerJoin": "-"}, "no effect with header: false"),
            ({"headerJoin": "", "headerRows": [2]}, "headerJoin has no effect on one header row"),
            ({"headerRows": [2, 1]}, "headerRows must ascend: order the numbers"),
            ({"headerRows": [1, 1]}, "headerRows must ascend: order the numbers"),
            ({"headerRows": [0]}, "headerRows.0: Input should be greater than 0"),
            ({"headerRows": []}, "headerRows: The list should have at least 1 item"),
            ({"headerRows": [101]}, "the last of the headerRows is 101, but the maximum is 100"),
            ({"skipLines": -1}, "skipLines: Input should be greater than or equal to 0"),
            ({"footer": {}}, "a footer has either lines or a pattern"),
            ({"footer": {"lines": 1, "pattern": "x"}}, "a footer has either lines or a pattern"),
            ({"footer": {"lines": 101}}, "footer.lines: Input should be less than or equal to 100"),
            ({"footer": {"pattern": "(?=x)"}}, "the pattern '(?=x)' is not valid RE2"),
            ({"footer": {"pattern": "x*"}}, "the pattern 'x*' matches the beginning of any line"),
        )
    ),
    (custom(decimalMark="'"), "the table: decimalMark: Input should be '.' or ','"),
    (custom(dialect={"nullSequence": [None]}), "nullSequence.0: Input should be a valid string"),
    (custom(headerPolicy={"order": "alphabetical"}), "headerPolicy.order: Input should"),
    (custom(headerPolicy={"extra": "ignore"}), "headerPolicy.extra: Extra inputs"),
    (custom(headerPolicy={"match": "position", "order": "any"}), "order has no effect with match:"),
    (custom(of="name", aliases=[]), "aliases: The list should have at least 1 item"),
    (custom(of="name", aliases=["name"]), "columns ['name'] occur more than once"),
    (custom(of="name", aliases=["day"]), "columns ['day'] occur more than once: give each its own"),
    (
        both(
            custom(headerPolicy={"match": "folded"}),
            both(column("name", required=False), custom(of="name", aliases=[" Day"])),
        ),
        "columns [' Day', 'day'] occur more than once",
    ),
    (
        both(custom(headerPolicy={"match": "position"}), custom(of="name", aliases=["user"])),
        "column 'name': aliases have no effect, because columns are found by position: remove them",
    ),
    (custom(of="name", optional=True), "column 'name': it is optional, but its values must not be"),
    (
        both(quality("amount", metric="nullValues"), custom(of="amount", optional=True)),
        "column 'amount': it is optional, but its values must not be missing",
    ),
    (
        both(
            quality("amount", metric="nullValues", mustBe=None, mustBeLessThan=5, unit="percent"),
            custom(of="amount", optional=True),
        ),
        "column 'amount': it is optional, but its values must not be missing",
    ),
    (
        both(custom(headerPolicy={"match": "position"}), custom(of="amount", optional=True)),
        "column 'amount': it cannot be optional before a column that is not",
    ),
    (
        both(
            lambda d: d["schema"][0].update(properties=d["schema"][0]["properties"][1:2]),
            both(
                custom(headerPolicy={"unknown": "ignore"}),
                custom(of="amount", optional=True),
            ),
        ),
        "the headerPolicy would accept the header of every file: set unknown: refuse",
    ),
    (
        both(
            lambda d: d["schema"][0].update(properties=d["schema"][0]["properties"][1:2]),
            custom(headerPolicy={"match": "position", "unknown": "ignore"}),
        ),
        "the headerPolicy would accept the header of every file: set unknown: refuse",
    ),
    (custom(timezone="Mars/Olympus"), "'Mars/Olympus' is not a time zone"),
    (custom(timezone="Europe"), "'Europe' is not a time zone: use an IANA name, e.g."),
    (custom(timezone="../x"), "'../x' is not a time zone"),
    (custom(indexes=[[]]), "indexes.0: The list should have at least 1 item"),
    (both(table(properties=None), custom(indexes=[])), "the table: columns: The list should have"),
    (custom(indexes=[["name", "id_"]]), "an index names ['id_'], which are not columns"),
    (custom(lookup={"key": "name", "order": "day"}), "lookup.fields: Field required"),
    *(
        (
            both(
                both(column("day", required=True), column("paid", required=True)),
                custom(lookup={"key": "name", "order": "day", "fields": ["name"]} | wrong),
            ),
            message,
        )
        for wrong, message in (
            ({"key": "amount"}, "the lookup's key amount must be of type string or integer"),
            ({"key": "user"}, "the lookup names ['user'], which are not columns"),
            ({"order": "amount"}, "the lookup's order amount must be required"),
            ({"order": "paid"}, "the lookup's order paid must be required, and of type string or"),
            ({"group": "paid"}, "the lookup's group paid must be of type string or integer"),
            ({"measure": "name"}, "the lookup's measure name must be of type integer or number"),
            ({"fields": []}, "lookup.fields: The list should have at least 1 item"),
            ({"fields": ["id"]}, "the lookup names ['id'], which are not columns"),
            ({"limit": 10}, "lookup.limit: Extra inputs are not permitted"),
        )
    ),
    (custom(dialect={"nullSequence": ["no"]}), "['no'] cannot mean both missing and true or false"),
    (table(physicalName="x; drop table source"), "relation: 'x; drop table source' is not a plain"),
    (column("name", physicalName="Name"), "physicalName: 'Name' is not a plain lower-case"),
    (table(physicalName="source"), "the table source is reserved for the pipeline"),
    (column("name", physicalName="source_id"), "['source_id'] are reserved for the pipeline"),
    (column("name", physicalName="line"), "['line'] are reserved for the pipeline"),
    (column("name", physicalName="amount"), "['amount'] occur more than once"),
    (column("name", name="day", physicalName="n"), "['day'] occur more than once"),
    (column("day", logicalType="array"), "column 'day': logicalType: Input should be"),
    (column("name", logicalType=None), "$.schema[0].properties[0]: the column has no logicalType"),
    (column("name", physicalType=None), "column 'name': physicalType: Field required: add it"),
    (column("name", physicalType="text); drop table source; --"), "source; --': physicalType must"),
    (column("amount", physicalType="double"), "be numeric(precision,scale) or double precision or"),
    *(
        (column("amount", physicalType=unknown), f"cannot be stored as {unknown!r}: physicalType")
        for unknown in ("numeric", "numeric (5,2)", "decimal(5,2)")
    ),
    (
        lambda d: d["schema"][0]["properties"][1].update({"physicalType": "numeric(5", "2)": None}),
        "ODCS does not define '2)' here: put e.g. \"numeric(5,2)\" in quotes, because inside { } "
        "YAML splits it at the comma",
    ),
    (
        column("amount", logicalTypeOptions={"minimum": dt.date(2020, 1, 1)}),
        "logicalTypeOptions.minimum: 2020-01-01 is not of type 'number': write a value of that "
        "type, without quotes",
    ),
    (
        column("day", logicalTypeOptions={"minimum": dt.date(2020, 1, 1)}),
        "logicalTypeOptions.minimum: 2020-01-01 is not of type 'string': put it in quotes",
    ),
    *(
        (quality("amount", arguments={"validValues": values}), "for strings only: use minimum and")
        for values in ([1, 2], ["1", "2"])
    ),
    (quality("name", arguments={"validValues": ["a", 1960]}), "values.1: Input should be a valid"),
    (column("amount", logicalType="integer"), "physicalType must be smallint or integer or bigint"),
    (column("amount", physicalType="numeric(39,2)"), "numeric(39,2) must have a precision of 1 to"),
    (column("amount", physicalType="numeric(2,3)"), "numeric(2,3) must have a precision of 1 to"),
    (column("name", logicalTypeOptions={"minLength": 1}), "needs a logicalTypeOptions.maxLength"),
    (
        column("name", logicalTypeOptions={"maxLength": 11}),
        "column 'name': varchar(10) needs a logicalTypeOptions.maxLength of at most 10",
    ),
    (
        both(
            column("name", logicalTypeOptions=None),
            quality("name", arguments={"maxLength": 10}, severity="warning"),
        ),
        "varchar(10) needs a logicalTypeOptions.maxLength",
    ),
    (
        column("name", logicalTypeOptions={"maxLength": 10, "format": "email"}),
        "column 'name': unknown logicalTypeOptions ['format']",
    ),
    (column("amount", logicalTypeOptions={"multipleOf": 2}), "logicalTypeOptions ['multipleOf']"),
    (custom(of="day"), "column 'day': the type date needs 'formats': add them"),
    (custom(of="name", formats=[{"pattern": "yyyy-MM-dd"}]), "type string cannot have 'formats':"),
    (
        both(
            custom(of="day", formats=[{"pattern": "dd.MM.yyyy"}]),
            column("day", logicalTypeOptions={"format": "dd.MM.yyyy"}),
        ),
        "column 'day': logicalTypeOptions.format has no effect beside formats: remove one of them",
    ),
    (custom(of="day", formats=["dd.MM.yyyy"]), "should be a mapping: write its properties in { },"),
    (custom(of="day", formats=[{"pattern": "yyyy-mm-dd"}]), "MM is the month and mm the minute"),
    *(
        (
            both(
                column("day", logicalType=of, physicalType=stored_as, quality=None),
                both(
                    custom(of="day", formats=formats),
                    column("day", logicalTypeOptions={"defaultTimezone": "Etc/UTC"}),
                ),
            ),
            "column 'day': defaultTimezone has no effect, because every format has a time zone or",
        )
        for of, stored_as, formats in (
            ("time", "time", [{"pattern": "HH:mm"}]),
            ("timestamp", "timestamptz", [{"pattern": "yyyy-MM-dd HH:mm XXX"}]),
            ("timestamp", "timestamptz", [{"pattern": "yyyy-MM-dd HH:mm", "timezone": "Etc/UTC"}]),
        )
    ),
    (custom(of="day", formats=[{"patern": "yyyy"}]), "formats.0.pattern: Field required: add it;"),
    (
        custom(of="day", formats=[{"pattern": "yyyy-MM-dd", "timezone": "CEST+"}]),
        "column 'day': formats.0.timezone: 'CEST+' is not a time zone",
    ),
    (custom(of="paid", trueTokens=["yes"]), "column 'paid': the type boolean needs 'trueTokens'"),
    (custom(of="name", trueTokens=["yes"]), "'name': the type string cannot have 'trueTokens' and"),
    (
        custom(of="paid", trueTokens=["yes", "x"], falseTokens=["no", "x"]),
        "column 'paid': ['x'] cannot mean both true and false",
    ),
    (custom(of="paid", trueTokens=[True], falseTokens=["no"]), "trueTokens.0: Input should be a"),
    (custom(of="paid", trueTokens="yes", falseTokens=["no"]), "column 'paid': trueTokens: Input"),
    (
        custom(of="paid", trueTokens=["Yes"], falseTokens=["yes"], ignoreCase=True),
        "column 'paid': ['yes'] cannot mean both true and false",
    ),
    (
        custom(of="paid", trueTokens=["1"], falseTokens=["0"], ignoreCase=True),
        "column 'paid': ignoreCase has no effect, because no token has letters: remove it",
    ),
    (
        custom(of="paid", trueTokens=["1"], falseTokens=["0"], nullTokens=["?", "0"]),
        "column 'paid': ['0'] cannot mean both missing and true or false",
    ),
    (
        custom(
            of="paid", trueTokens=["YES"], falseTokens=["NO"], nullTokens=["No"], ignoreCase=True
        ),
        "column 'paid': ['no'] cannot mean both missing and true or false",
    ),
    (
        custom(of="paid", trueTokens=["yes "], falseTokens=["no"], nullTokens=[" "], trim=True),
        "column 'paid': no trimmed value is ' ' or 'yes ': trim these texts too",
    ),
    (
        both(custom(of="name", trim=True), quality("name", arguments={"validValues": ["a", " b"]})),
        "column 'name': no trimmed value is ' b': trim these texts too",
    ),
    (custom(of="name", nullTokens=[1960]), "nullTokens.0: Input should be a valid string: put it"),
    (custom(of="name", trim="x"), "trim: Input should be a valid boolean"),
    *(
        (custom(of=name, **{option: value}), f"the type {of} cannot have '{option}', only {types}")
        for name, of, option, value, types in (
            ("amount", "number", "quotedEmpty", "text", "string: remove it"),
            ("name", "string", "groupChar", " ", "integer or number or float: remove it"),
            ("name", "string", "bareNumber", True, "integer or number or float: remove it"),
            ("day", "date", "numberStyles", ["exponent"], "integer or number or float: remove it"),
            ("amount", "number", "ignoreCase", False, "boolean: remove it"),
        )
    ),
    (custom(of="name", quotedEmpty="text", trim=True), "quotedEmpty: text contradicts trim: true"),
    (custom(of="name", quotedEmpty="text", nullTokens=["NA"]), "no effect, because an empty value"),
    (
        both(custom(of="name", quotedEmpty="text"), custom(dialect={"quoteChar": None})),
        "column 'name': quotedEmpty has no effect, because the dialect has no quoteChar",
    ),
    (custom(of="name", quotedEmpty="null"), "quotedEmpty: Input should be 'missing' or 'text'"),
    *(
        (custom(of="amount", groupChar=char), f"the groupChar {char!r} is not valid: use one")
        for char in ("", "..", "1", "e", "-", "(")
    ),
    (custom(of="amount", groupChar="."), "the groupChar '.' is also the decimalMark of the table"),
    (custom(of="amount", numberStyles=["percent"]), "numberStyles.0: Input should be 'exponent'"),
    (custom(of="amount", numberStyles=[]), "numberStyles: The list should have at least 1 item"),
    (custom(of="amount", numberStyles=["exponent", "exponent"]), "['exponent'] occur more than"),
    (custom(of="amount", numberStyles=["integralDecimal"]), "type number needs no integralDecimal"),
    (
        both(
            column("amount", logicalType="integer", physicalType="integer", quality=[]),
            custom(of="amount", numberStyles=["omittedZero"]),
        ),
        "omittedZero has no effect on integers without integralDecimal: add that to numberStyles",
    ),
    *(
        (column("name", **{key: value}), f"the pipeline does not support {key}: remove it")
        for key, value in {
            "partitioned": True,
            "encryptedName": "secret",
            "transformLogic": "upper(name)",
            "enum": [{"value": "a"}],
        }.items()
    ),
    (quality("amount", name=None, arguments={"minimum": 0}), "column 'amount': a quality has no"),
    (row_count(name=None, mustBe=1), "the table: a quality has no name: add one"),
    (quality("amount", metric="rowCount"), "the metric 'rowCount': use nullValues, missingValues,"),
    (
        column("amount", quality=[{"name": "q", "type": "text", "description": "good"}]),
        "the quality 'q' has the metric None",
    ),
    *(
        (quality("amount", **wrong), "column 'amount': the quality 'q' must make exactly one check")
        for wrong in (
            {},
            {"arguments": {"minimum": 0, "validValues": ["1"]}},
            {"arguments": {"notInFuture": False}},
            {"metric": "nullValues", "arguments": {"minimum": 0}},
        )
    ),
    (quality("amount", arguments={"minimun": 0}), "quality 'q' has unknown arguments ['minimun']:"),
    (quality("name", arguments={"validValues": 5}), "the rule 'q': values: Input should be a list"),
    (quality("name", arguments={"validValues": []}), "the rule 'q': values: The list should have"),
    (
        quality("amount", arguments={"minimum": 0}, severity="info"),
        "column 'amount': the quality 'q' has the severity 'info': use error or warning",
    ),
    *(
        (
            quality("amount", **({"arguments": {"minimum": 0}, "mustBe": None} | wrong)),
            "column 'amount': the quality 'q' has no supported limit: write mustBe: 0, or "
            "mustBeLessThan or mustBeLessOrEqualTo with the unit rows or percent",
        )
        for wrong in ({"mustBeGreaterThan": 5}, {"mustBe": 5}, {"mustBeBetween": [0, 5]})
    ),
    (
        quality("amount", arguments={"minimum": 0}, mustBe=None, mustBeLessThan=5, unit="%"),
        "column 'amount': the rule 'q': threshold.unit: Input should be 'rows' or 'percent'",
    ),
    *(
        (change, f"column {name!r}: the rule q ({kind}) does not apply to the type {logical_type}")
        for name, logical_type, kind, change in (
            ("amount", "number", "length", quality("amount", arguments={"minLength": 1})),
            ("amount", "number", "pattern", quality("amount", arguments={"pattern": "1"})),
            ("name", "string", "range", quality("name", arguments={"minimum": 1})),
            ("paid", "boolean", "range", quality("paid", arguments={"minimum": 1})),
            ("name", "string", "not_in_future", quality("name", arguments={"notInFuture": True})),
        )
    ),
    (quality("day", arguments={"minimum": 2020}), "rule q compares the type date with 2020, which"),
    *(
        (
            quality("day", arguments={"minimum": bound}),
            f"column 'day': the rule 'q': minimum: {str(bound)!r} is not a valid bound: write e.g. "
            '24 or "2020-01-31" or "2020-01-31T12:00:00Z" or "08:30"',
        )
        for bound in ("01.01.2020", "2020-13-01", "8:30", "08:30+02:00", "1,5", ".", True, ["1"])
    ),
    (quality("amount", arguments={"minimum": "2020-01-01"}), "type number with 2020-01-01, which"),
    (quality("amount", arguments={"minimum": "08:00"}), "the type number with 08:00:00, which has"),
    *(
        (
            column("name", physicalType=physical_type),
            f"column 'name': the rule {name} does not apply to the type {kind}",
        )
        for physical_type, kind, name in (
            ("uuid", "uuid", "maxLength (length)"),
            ("jsonb", "json", "unique (unique)"),
        )
    ),
    (column("day", logicalType="time", physicalType="time"), "must only have the parts of a time"),
    (column("day", primaryKey=True), "column 'day': primaryKey needs required: true: add it"),
    (column("day", primaryKeyPosition=1), "column 'day': primaryKeyPosition has no effect without"),
    *(
        (
            key(name=first, day=second),
            f"the columns with primaryKey have the primaryKeyPosition {sorted([first, second])}: "
            "number them from 1 to 2",
        )
        for first, second in ((1, 1), (-1, 1), (2, 3), (-1, -1))
    ),
    *(
        (unique_rows(properties), message)
        for properties, message in (
            (["name", "x"], "the rule 'q' names ['x'], which are not columns"),
            (["name", "name"], "the rule 'q' names ['name'] more than once: remove them"),
            ([], "the table: the quality 'q': columns: "),
            ([1], "the table: the quality 'q': columns.0: Input should be a valid string"),
        )
    ),
    (unique_rows(["name"], severity="info"), "the table: the quality 'q' has the severity 'info':"),
    (
        both(
            column("amount", logicalType="object", physicalType="jsonb", quality=None),
            unique_rows(["name", "amount"]),
        ),
        "the rule 'q' cannot compare amount (json): remove these columns",
    ),
    (both(key(name=-1), unique_rows(["day"], name="primaryKey")), "the table occur more than once"),
    (
        quality("name", name="unique", arguments={"validValues": ["a"]}),
        "column 'name': rules ['unique'] occur more than once, but rejected rows refer to a rule",
    ),
    *(
        (row_count(**wrong), "the quality 'q' of the table is not supported: use the metric")
        for wrong in (
            {"mustBeGreaterThan": 0, "severity": "warning"},
            {"mustBeGreaterThan": 0, "severity": "info"},
            {"mustNotBe": 0},
            {"metric": "duplicateValues", "mustBe": 0},
            {"mustBe": 5, "unit": "percent"},
            {"mustBe": 5, "arguments": {"properties": ["name"]}},
        )
    ),
    *(
        (
            row_count(**empty),
            "the table: the quality 'q' allows "
            f"{allowed} rows, so that no file with rows could be loaded",
        )
        for allowed, empty in (
            ("0 to 0", {"mustBe": 0}),
            ("at most 0", {"mustBeLessThan": 1}),
        )
    ),
    (
        table(
            quality=[
                {"name": "few", "metric": "rowCount", "mustBeLessThan": 4},
                {"name": "many", "metric": "rowCount", "mustBe": 5},
            ]
        ),
        "the table: the quality 'few' allows at most 3 rows, so that no file with rows could be",
    ),
    (row_count(mustBe=-1), "the quality 'q': minimum: Input should be greater than or equal to 0"),
    *(
        (sla(value=value), "the table: sla.time: " + repr(value) + " is not a time of day")
        for value in ("9:00", "24:00", "09:00-08:00", 630, None, "09:00:00")
    ),
    (sla(unit="d", value="09:00"), "slaProperties: ['unit'] of timeOfAvailability are not"),
    (sla(element="feed", value="09:00"), "['element'] of timeOfAvailability are not supported"),
    (
        sla(customProperties=[{"property": "weekdays", "value": ["monday"]}]),
        "the table: sla.weekdays.0: Input should be 'mon', 'tue'",
    ),
    (
        sla(customProperties=[{"property": "weekdays", "value": []}]),
        "sla.weekdays: The list should have at least 1 item",
    ),
    (
        sla(customProperties=[{"property": "weekday", "value": ["mon"]}]),
        "timeOfAvailability: unknown customProperties ['weekday']: correct or remove them; "
        "known: ['weekdays']",
    ),
    (sla({"property": "latency", "value": 1, "unit": "d"}), "['latency'] have no effect without"),
    (
        sla({"property": "retention", "value": 3, "unit": "y"}, value="09:00"),
        "'retention' is not supported, only latency and timeOfAvailability: remove it",
    ),
    (
        sla({"property": "timeOfAvailability", "value": "10:00"}, value="09:00"),
        "slaProperties: ['timeOfAvailability'] occur more than once",
    ),
    (lambda d: d.update(slaDefaultElement="feed"), "slaDefaultElement has no effect"),
    *(
        (sla({"property": "latency"} | wrong, value="09:00"), "of days after the file's day, with")
        for wrong in (
            {"value": 1},
            {"value": 1, "unit": "h"},
            {"value": "1", "unit": "d"},
            {"value": 1.5, "unit": "d"},
            {"value": True, "unit": "d"},
        )
    ),
    (
        sla({"property": "latency", "value": -1, "unit": "d"}, value="09:00"),
        "sla.latency: Input should be greater than or equal to 0",
    ),
    *(
        (custom(keys=[{"pattern": pattern, "examples": [example], **more}]), message)
        for pattern, example, more, message in (
            ("a", "a", {}, "the pattern has no day: add a group (?P<date>…), or date: landed"),
            ("(?P<date>.*)", "20240303", LANDED, "date: landed has no effect, because the day is"),
            ("(?P<year>.)(?P<day>.)", "11", {}, "the pattern has only year, day: add the others"),
            ("(?P<date>.*)(?P<day>.)", "a", {}, "has the group date and day: keep one form of"),
            ("(?P<stem>.*)", "a", LANDED, "the groups ['stem'] have names that mean the file's"),
            ("(?=a)", "a", LANDED, "is not valid RE2"),
            ("table=x/.*", "table=x/a", LANDED, "keys that begin with table= need no pattern"),
            (".*", "table=x/a", LANDED, "begins with table=, so that no pattern is used: remove"),
            (".*", "a/.x", LANDED, "'a/.x' would be ignored, like _SUCCESS, names that begin with"),
            (".*", "a/", LANDED, "'a/' is not the key of a file: use 1 to 1,024 bytes of UTF-8"),
            (".*", "ä" * 513, LANDED, "is not the key of a file"),
            ("a", "b", LANDED, "the example 'b' does not match the pattern: correct one of them"),
            ("(?P<date>.*)", "20240230", {}, "'20240230' has the date '2024-02-30', which does"),
            ("a", "a", {"date": "today"}, "keys.0.date: Input should be 'landed'"),
        )
    ),
    (custom(keys=[]), "keys: The list should have at least 1 item"),
    (custom(keys=[{"pattern": "a", "date": "landed"}]), "keys.0.examples: Field required"),
    (
        custom(keys=[{"pattern": "a", "examples": ["a"], **LANDED}] * 2),
        "the pattern 'a' is in keys more than once: remove the others",
    ),
    (
        custom(
            keys=[{"pattern": "(?P<id>.*).csv", "examples": ["ab.csv"], **LANDED}],
            manifest={"name": "{id}{stem}b.csv"},
        ),
        "the example 'ab.csv' of a data file has the name of a manifest ({id}{stem}b.csv)",
    ),
]


@pytest.mark.parametrize(
    ("change", "message"), REFUSED, ids=[message[:50] for _, message in REFUSED]
)
def test_contract_with_unsupported_property_is_invalid(
    change: Change, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidContract) as error:
        loaded(tmp_path, change)

    text = str(error.value)
    assert text.startswith("feed.odcs.yaml: ")
    assert message in text
    assert "pydantic" not in text


def _everything_wrong(document: dict[str, Any]) -> None:
    document.pop("version")
    document["owner"] = "me"
    column("name", requird=True, logicalType="text")(document)
    column("amount", logicalType=None, requird=True)(document)
    column("day", encryptedName="a")(document)
    custom(of="day", format="dd.MM.yyyy")(document)
    column(
        "paid",
        physicalType="text",
        quality=[
            {"metric": "nullValues", "mustBe": 0},
            {"name": "a", "metric": "nullValues", "mustBe": 1, "severity": "info"},
            {"name": "b", "metric": "nullValues", "mustBe": 0, "arguments": {"maxLenght": 1}},
            {"name": "c", "metric": "invalidValues", "mustBe": 0, "arguments": {"minimum": 1}},
        ],
    )(document)
    custom(of="paid", trueTokens=["yes", "ja"], falseTokens=["no", "ja"])(document)
    table(physicalName="Feed")(document)
    custom(delimeter=";", encoding="utf9", headerPolicy={"order": "none", "more": 1})(document)
    row_count(mustNotBe=1)(document)
    sla({"property": "latency", "value": 1}, value="9:00", unit="d")(document)
    document["slaProperties"].append({"property": "retention", "value": 1})
    document["slaProperties"].append({"property": "latency"})


def _assert_problems(folder: Path, changes: list[Change], starts: list[str]) -> None:
    with pytest.raises(InvalidContract) as error:
        loaded(folder, *changes)

    problems = error.value.problems
    assert len(problems) == len(starts), problems
    for problem, start in zip(problems, starts, strict=True):
        assert problem.startswith(f"feed.odcs.yaml: {start}")
    assert str(error.value).startswith(f"feed.odcs.yaml: {starts[0]}")
    assert str(error.value).count("feed.odcs.yaml") == 1


def test_contract_reports_all_problems_at_once(tmp_path: Path) -> None:
    starts = [
        "at $: 'version' is a required property: add it",
        "at $: ODCS does not define 'owner' here: correct the name or remove it",
        "column 'name': at $.schema[0].properties[0]: ODCS does not define 'requird' here: ",
        "column 'name': at $.schema[0].properties[0].logicalType: 'text' is not one of",
        "column 'amount': at $.schema[0].properties[1]: the column has no logicalType: add boolean",
        "column 'amount': at $.schema[0].properties[1]: ODCS does not define 'requird' here: ",
        "at $.slaProperties[3]: 'value' is a required property: add it",
        "column 'day': the pipeline does not support encryptedName: remove it",
        "column 'day': unknown customProperties ['format']: ",
        "column 'day': the type date needs 'formats': add them",
        "column 'paid': a quality has no name: add one, because rejected rows refer to it",
        "column 'paid': the quality 'a' has the severity 'info': use error or warning",
        "column 'paid': the quality 'a' has no supported limit: write mustBe: 0",
        "column 'paid': the quality 'b' has unknown arguments ['maxLenght']: ",
        "column 'paid': the type boolean cannot be stored as 'text': physicalType must be boolean",
        "the quality 'q' of the table is not supported: use the metric rowCount",
        "slaProperties: ['unit'] of timeOfAvailability are not supported: remove them",
        "slaProperties: latency is 1 with the unit None: write a whole number of days",
        "slaProperties: 'retention' is not supported",
        "the table: unknown customProperties ['delimeter']: ",
        "and at least 5 more: correct these first",
    ]
    _assert_problems(tmp_path, [_everything_wrong], starts)


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        (
            [
                custom(
                    indexes=[["x"], ["y"]],
                    lookup={"key": "paid", "order": "day", "fields": ["name"], "measure": "name"},
                ),
                column("day", physicalName="source_id"),
                column("paid", physicalName="amount"),
                table(physicalName="pg_feed"),
            ],
            [
                "the table: the table pg_feed could be hidden by a system table of PostgreSQL",
                "the table: columns ['source_id'] are reserved for the pipeline: choose",
                "the table: columns ['amount'] occur more than once: give each its own name",
                "the table: an index names ['x'], which are not columns: use names of the header",
                "the table: an index names ['y'], which are not columns: use names of the header",
                "the table: the lookup's key paid must be of type string or integer",
                "the table: the lookup's measure name must be of type integer or number",
                "the table: the lookup's order day must be required",
            ],
        ),
        (
            [quality("name", arguments={"validValues": [1960, True]})],
            [
                "column 'name': the rule 'q': values.0: Input should be a valid string: put it in",
                "column 'name': the rule 'q': values.1: Input should be a valid string: put it in",
            ],
        ),
        (
            # Checks that compare columns need all of them, so the index is not reported.
            [custom(indexes=[["Name"]]), column("name", name="Name", physicalName="Name")],
            ["column 'Name': physicalName: 'Name' is not a plain lower-case PostgreSQL identifier"],
        ),
    ],
)
def test_contract_reports_all_problems_of_table(
    changes: list[Change], starts: list[str], tmp_path: Path
) -> None:
    _assert_problems(tmp_path, changes, starts)


def test_sla_properties_become_service_level(tmp_path: Path) -> None:
    latency = {"property": "latency", "value": 2, "unit": "d", "driver": "operational"}
    days = [{"property": "weekdays", "value": ["mon", "fri"]}]

    promise = loaded(tmp_path, sla(latency, customProperties=days, description="for people")).sla

    assert promise is not None
    assert (promise.time, promise.latency) == (dt.time(9), 2)
    assert promise.weekdays == ("mon", "fri")
    assert loaded(tmp_path).sla is None
    every_day = loaded(tmp_path, sla(value="23:59")).sla
    assert every_day is not None
    assert (every_day.latency, len(every_day.weekdays)) == (0, 7)


@pytest.mark.parametrize(
    "body", [b"a: [", b"", b"just text", b"- a list", b"schema: 5", b"name: \xff"]
)
def test_file_without_contract_is_invalid(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.odcs.yaml"
    path.write_bytes(body)

    with pytest.raises(InvalidContract, match=r"^x\.odcs\.yaml: "):
        load(path)


def test_duplicate_keys_are_invalid(tmp_path: Path) -> None:
    path = tmp_path / "feed.odcs.yaml"
    path.write_text(MINIMAL.replace("required: true", "required: true\n        required: no"))

    with pytest.raises(InvalidContract, match=r"at line 14 has duplicate keys \['required'\]"):
        load(path)


def test_file_name_must_match_table(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidContract, match=r"is for the table 'feed': rename the file to feed\.odcs\.yaml"
    ):
        load(save(tmp_path, document(), name="other"))


@pytest.mark.parametrize(
    ("role", "taken"),
    [
        *(("key", "cursor"), ("key", "from"), ("key", "limit")),
        *(("group", "key"), ("group", "week"), ("measure", "rows")),
    ],
)
def test_lookup_refuses_reserved_column_names(tmp_path: Path, role: str, taken: str) -> None:
    made = document()
    of = "amount" if role == "measure" else "name"
    column(of, name=taken)(made)
    column("day", required=True)(made)
    key = taken if role == "key" else "name" if role == "measure" else taken
    table(customProperties=None)(made)
    custom(lookup={"key": key, "order": "day", "fields": ["day"], role: taken})(made)

    with pytest.raises(InvalidContract, match=f"{role} {taken} must be .*'{taken}'"):
        load(save(tmp_path, made))


def test_description_defaults_to_purpose_of_contract(tmp_path: Path) -> None:
    def purpose(document: dict[str, Any]) -> None:
        document["description"] = {"purpose": "what it is for"}

    made = loaded(tmp_path, purpose, column("day", description="x" * 2_000))
    assert made.description == "what it is for"
    assert len(made.column("day").description) == 1_000
    assert loaded(tmp_path, purpose, table(description="a feed")).description == "a feed"
    assert loaded(tmp_path).description == ""


@pytest.mark.parametrize(
    ("quality_of", "rule"),
    [
        (quality("amount", metric="nullValues"), {"kind": "required"}),
        (quality("amount", metric="missingValues"), {"kind": "required"}),
        (quality("amount", metric="duplicateValues"), {"kind": "unique"}),
        (
            quality("amount", arguments={"minimum": 0.5}),
            {"kind": "range", "minimum": Decimal("0.5"), "maximum": None},
        ),
        (
            quality(
                "amount", arguments={"maximum": 1}, mustBe=None, mustBeLessThan=2.5, unit="percent"
            ),
            {
                "kind": "range",
                "maximum": Decimal(1),
                "threshold": {"limit": Decimal("2.5"), "unit": "percent", "inclusive": False},
            },
        ),
        (
            quality("amount", metric="nullValues", mustBe=None, mustBeLessOrEqualTo=3),
            {"threshold": {"limit": Decimal(3), "unit": "rows", "inclusive": True}},
        ),
        (quality("amount", metric="nullValues", severity="warning"), {"severity": "warning"}),
    ],
)
def test_quality_becomes_rule(quality_of: Change, rule: dict[str, object], tmp_path: Path) -> None:
    (made,) = loaded(tmp_path, quality_of).column("amount").rules

    assert made.model_dump().items() >= ({"name": "q", "severity": "error"} | rule).items()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (key(name=-1), {"name": "primaryKey", "columns": ("name",)}),
        (key(name=2, day=1), {"name": "primaryKey", "columns": ("day", "name")}),
        (
            unique_rows(["name", "day"], severity="warning", mustBeLessThan=2),
            {
                "columns": ("name", "day"),
                "severity": "warning",
                "threshold": {"limit": Decimal(2), "unit": "rows", "inclusive": False},
            },
        ),
    ],
)
def test_columns_become_unique_together(
    change: Change, rule: dict[str, object], tmp_path: Path
) -> None:
    (made,) = loaded(tmp_path, change).unique_rows

    expected = {"name": "q", "severity": "error", "threshold": None} | rule
    assert made.model_dump() == expected


@pytest.mark.parametrize(
    ("bounds", "minimum", "maximum"),
    [
        ({"mustBeGreaterThan": 0}, 1, None),
        ({"mustBeGreaterOrEqualTo": 2}, 2, None),
        ({"mustBeLessThan": 9}, None, 8),
        ({"mustBeLessOrEqualTo": 9}, None, 9),
        ({"mustBeBetween": [3, 9]}, 3, 9),
        ({"mustBe": 7}, 7, 7),
    ],
)
def test_row_count_quality_becomes_bounds(
    bounds: dict[str, Any], minimum: int | None, maximum: int | None, tmp_path: Path
) -> None:
    (count,) = loaded(tmp_path, row_count(**bounds)).row_counts

    assert (count.minimum, count.maximum) == (minimum, maximum)


def test_logical_type_options_format_becomes_format(tmp_path: Path) -> None:
    contract = loaded(
        tmp_path, column("day", customProperties=None, logicalTypeOptions={"format": "dd/MM/yyyy"})
    )

    assert [each.pattern for each in contract.column("day").formats] == ["dd/MM/yyyy"]
