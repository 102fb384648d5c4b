"""Tests of the generated files of `tm smoke` against the real Transform and Test."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.errors import CommandError
from cli.specimen import SHARE, Specimen, specimen
from shared.contract import Contract
from shared.dialect import Dialect
from shared.endings import Outcome
from shared.odcs import load_all
from tests.fixtures.contracts import DAYS, READINGS, TIMES, TOKENS, column
from tests.processing import NOW, process
from tests.test_generated_files import GERMAN, NARROW, SPELLED, TYPED, ZONED

OURS = dict(load_all())
CONTRACTS = {
    **OURS,
    "german": GERMAN,
    "zoned": ZONED,
    "narrow": NARROW,
    "spelled": SPELLED,
    "typed": TYPED,
    "readings": READINGS,
}


def checked(contract: Contract, folder: Path) -> Specimen:
    """Compare a specimen's expected results with Transform and Test; return the specimen."""
    made = specimen(contract, "1a2b3c", NOW)

    found = process(folder, made.content, contract)

    assert found.verdict.outcome is Outcome.OK, found.verdict
    assert found.report["rowsRead"] == made.rows
    first = min(found.loaded)
    assert sorted(found.loaded) == list(range(first, first + made.good)), "exactly the good rows"
    reasons = {(each["line"], each["column"], each["rule"]) for each in found.rejects}
    assert {(each.line, each.column, each.rule) for each in made.bad} <= reasons
    assert {line for line, *_ in reasons} == {each.line for each in made.bad}, "no warnings"
    halted = process(folder, made.content, contract, hard=True).verdict.outcome
    assert halted is (Outcome.FAILED_TESTS if made.bad else Outcome.OK)
    refused = process(folder, made.refused, contract).refused
    what = "is the delimiter" if contract.by_position else "does not match the "
    assert what in str(refused)
    return made


@pytest.mark.parametrize("contract", [pytest.param(c, id=name) for name, c in CONTRACTS.items()])
def test_specimen_predicts_result_of_each_row(contract: Contract, tmp_path: Path) -> None:
    made = checked(contract, tmp_path)
    assert made.bad, "every contract has a rule to break"


@pytest.mark.parametrize("contract", OURS.values(), ids=OURS)
def test_specimen_has_bad_row_for_each_rule(contract: Contract) -> None:
    """Each type, each rejecting rule and each rule for whole rows has exactly one bad row."""
    made = specimen(contract, "1a2b3c", NOW)

    ways: list[tuple[str | None, str]] = [(None, "columnCount"), (None, "quoting")]
    for each in contract.columns:
        ways += [(each.name, each.kind)]
        ways += [(each.name, rule.name) for rule in each.rules if rule.severity == "error"]
    assert [(bad.column, bad.rule) for bad in made.bad] == ways
    assert made.good == SHARE * len(ways)


def test_specimen_uses_unique_lookup_key() -> None:
    made = specimen(OURS["dailycheckins"], "1a2b3c", NOW)
    assert (made.key, made.keyed) == ("tm-smoke-1a2b3c", made.good)
    assert specimen(OURS["projectbudgets"], "1a2b3c", NOW).key is None


def contract(*columns: Any, **more: Any) -> Contract:
    names = {"table": "a", "relation": "a", "version": "1"}
    return Contract.model_validate(names | {"columns": columns} | more)


def rule(kind: str, name: str = "rule", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, **more}


def between(low: Any, high: Any) -> dict[str, Any]:
    return rule("range", minimum=low, maximum=high)


REQUIRED = rule("required")
ONCE = rule("unique", "once")
MONTHS = [{"pattern": "d MMMM yyyy", "locale": locale} for locale in ("ru", "de")]


def text(*rules: dict[str, Any], name: str = "x", **more: Any) -> Any:
    return column(name, "string", "text", rules=rules, **more)


@pytest.mark.parametrize(
    "made_of",
    [
        contract(text(REQUIRED)),
        contract(text(rule("unique"), rule("allowed", "known", values=["A", "B", "C", "D"]))),
        contract(text(rule("pattern", regex="[A-Z]{2}-[0-9]{4}"), examples=["AB-1234"])),
        contract(text(rule("pattern", regex="[a-z]+"), ONCE)),
        contract(text(rule("length", minimum=30), ONCE)),
        contract(text(rule("length", maximum=1), ONCE)),
        contract(text(rule("pattern", regex="nothing like it")), dialect=Dialect(delimiter=";")),
        contract(text(rule("pattern", regex="nothing like it"), ONCE)),
        contract(text(rule("allowed", values=["A"], threshold={"limit": 0, "inclusive": True}))),
        contract(text(REQUIRED, ONCE), dialect=Dialect(null_sequence=())),
        contract(
            column("n", "integer", "bigint", rules=[rule("unique")]),
            row_counts=[{"name": "many", "minimum": 500}],
        ),
        contract(text(REQUIRED), max_rejected_percent=0),
        contract(text(REQUIRED), max_rejected_percent=Decimal("0.7")),
        contract(text(REQUIRED, ONCE), max_rejected_percent=Decimal("0.02")),
        contract(text(rule("length", maximum=1), ONCE), max_rejected_percent=10),
        contract(column("n", "integer", "integer"), row_counts=[{"name": "one", "maximum": 1}]),
        contract(column("b", "boolean", "boolean", rules=[rule("unique")], **TOKENS)),
        contract(column("b", "boolean", "boolean", true_tokens=["no value"], false_tokens=["x"])),
        contract(
            column(
                *("b", "boolean", "boolean"),
                true_tokens=["No Value"],
                false_tokens=["x"],
                ignore_case=True,
            )
        ),
        contract(text(REQUIRED, ONCE, null_tokens=["-"], trim=True, examples=[" a1", "-", "a2 "])),
        contract(column("d", "date", "date", rules=[rule("not_in_future"), ONCE], **DAYS)),
        contract(
            column("n", "number", "numeric(38,10)", rules=[between(10**27, 10**27 + 5)]),
            decimal_mark=",",
        ),
        contract(
            column(
                "t",
                "timestamp",
                "timestamptz",
                timezone="America/Sao_Paulo",
                formats=[{"pattern": "MM/dd/yyyy"}, {"pattern": "dd/MM/yyyy"}],
                rules=[between(dt.date(2024, 2, 28), dt.date(2024, 3, 15)), ONCE],
            )
        ),
        contract(column("t", "timestamp", "timestamptz", formats=MONTHS), encoding="cp1252"),
        contract(
            column("t", "time", "time", rules=[ONCE, between("08:00", "17:30")], **TIMES),
            column("f", "number", "real", rules=[ONCE, between("0.1", "0.5")]),
        ),
        contract(
            text(),
            column("b", "boolean", "boolean", **TOKENS),
            unique_rows=[{"name": "pair", "columns": ["b", "x"]}],
        ),
        contract(
            text(REQUIRED),
            column("u", "string", "uuid", required=True),
            lookup={"key": "x", "order": "u", "fields": ["u"]},
            unique_rows=[{"name": "primaryKey", "columns": ["x", "u"]}],
        ),
        contract(
            text(REQUIRED),
            unique_rows=[{"name": "primaryKey", "columns": ["x"]}],
        ),
        contract(text(optional=True, aliases=["X", "old"]), column("n", "integer", "bigint")),
        contract(
            *(text(name=name, physical_name=name.strip().lower()) for name in ("y", " Z")),
            text(optional=True),
            header_policy={"match": "position", "unknown": "ignore"},
        ),
        contract(
            text(optional=True, aliases=["old"]),
            header_policy={"match": "folded"},
            row_counts=[{"name": "any", "minimum": 0}],
        ),
        contract(
            text(REQUIRED, ONCE, quoted_empty="text", aliases=["old"]),
            column("n", "number", "numeric(5,2)"),
            column("b", "boolean", "boolean", true_tokens=["true"], false_tokens=["false"]),
            column("j", "object", "jsonb", required=True),
            file_format="jsonLines",
        ),
        contract(
            text(REQUIRED, name="größe", physical_name="x"),
            file_format="jsonLines",
            encoding="cp1252",
            header_policy={"match": "folded", "unknown": "ignore"},
            dialect={"null_sequence": ["NA"]},
        ),
        *(
            contract(column("t", "timestamp", "timestamptz", formats=[form]))
            for form in (
                *({"pattern": name} for name in ("iso8601", "epochSeconds", "epochMillis")),
                *({"pattern": f"yyyy-MM-dd HH:mm {zone}"} for zone in ("XXX", "X", "Z", "VV")),
                {"pattern": "EEE, d. MMM yy[ HH:mm[:ss.SSS]]", "pivot": 1950, "locale": "de"},
                {"pattern": "yyyy-MM-dd HH:mm", "timezone": "Asia/Tokyo"},
            )
        ),
        *(
            contract(column("d", "date", "date", formats=[{"pattern": pattern}], rules=[ONCE]))
            for pattern in ("iso8601", "MM/yyyy", "'Q'Q yyyy", "[yyyy-MM-dd][dd.MM.yyyy]")
        ),
    ],
    ids=lambda made_of: str(made_of.columns[0].rules or made_of.columns[0].physical_type)[:60],
)
def test_specimen_satisfies_demanding_contract(made_of: Contract, tmp_path: Path) -> None:
    checked(made_of, tmp_path)


SEVERITIES = st.sampled_from(["error", "error", "warning"])
BOUNDS: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**15), 2**15 - 2).map(Decimal),
    "number": st.decimals(-900, 900, places=3),
    "date": st.dates(dt.date(1990, 1, 1), dt.date(2030, 1, 1)),
    "timestamp": st.dates(dt.date(1990, 1, 1), dt.date(2030, 1, 1)),
}
PHYSICAL = {
    "string": "text",
    "integer": "smallint",
    "number": "numeric(6,2)",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
}


@st.composite
def columns(draw: st.DrawFn, name: str) -> Any:
    """Return a column of any type with any rules that the type allows."""
    kind = draw(st.sampled_from(sorted(PHYSICAL)))
    rules = []
    if draw(st.booleans()):
        rules.append(rule("required", "required", severity=draw(SEVERITIES)))
    if kind != "boolean" and draw(st.booleans()):
        rules.append(rule("unique", "unique", severity=draw(SEVERITIES)))
    if kind == "string" and draw(st.booleans()):
        least = draw(st.integers(0, 40))
        bounds = {"minimum": least, "maximum": least + draw(st.integers(3, 40))}
        rules.append(rule("length", "length", severity=draw(SEVERITIES), **bounds))
    if kind in BOUNDS and draw(st.booleans()):
        low = draw(BOUNDS[kind])
        width = draw(st.integers(40, 4_000))
        high = low + (dt.timedelta(width) if isinstance(low, dt.date) else width)
        ends = draw(st.sampled_from([{"minimum": low}, {"maximum": high}]))
        both = {"minimum": low, "maximum": high}
        rules.append(
            rule("range", "range", severity=draw(SEVERITIES), **draw(st.sampled_from([ends, both])))
        )
    if kind in {"date", "timestamp"} and draw(st.integers(0, 3)) == 0 and len(rules) < 2:
        rules.append(rule("not_in_future", "past", severity=draw(SEVERITIES)))
    more: dict[str, Any] = {"boolean": TOKENS}.get(kind, {})
    if kind in {"date", "timestamp"}:
        patterns = ["dd/MM/yyyy", "MM/dd/yyyy", "d. MMMM yyyy", "yyyy-MM-dd'T'HH:mm:ss[.SSS]"]
        few = st.lists(
            st.sampled_from(patterns[: 3 if kind == "date" else 4]), min_size=1, unique=True
        )
        more = {"formats": [{"pattern": pattern} for pattern in draw(few)]}
    return column(name, kind, PHYSICAL[kind], rules=rules, **more)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """Return a contract of one to four columns."""
    names = "abcd"[: draw(st.integers(1, 4))]
    headers: list[dict[str, Any]] = [{}, {"header": False}, {"header_rows": (2, 4)}]
    header = draw(st.sampled_from(headers))
    policy = {"unknown": draw(st.sampled_from(["refuse", "ignore" if names[1:] else "refuse"]))}
    if header != {"header": False}:
        policy["match"] = draw(st.sampled_from(["exact", "folded", "position"]))
    return contract(
        *(draw(columns(name)) for name in names),
        dialect={
            "delimiter": draw(st.sampled_from([",", ";", "\t", "||"])),
            "null_sequence": draw(st.sampled_from([("",), ("", "-"), ("NA",)])),
            "line_terminator": draw(st.sampled_from(["\r\n", "\r"])),
            "skip_lines": draw(st.sampled_from([0, 2])),
            "footer": draw(st.sampled_from([None, {"lines": 2}, {"pattern": "^TOTAL"}])),
            "skip_empty_rows": draw(st.booleans()),
            "trailing_delimiter": draw(st.booleans()),
            **header,
        },
        decimal_mark=draw(st.sampled_from([".", ","])),
        header_policy=policy,
    )


@pytest.mark.scaled
@settings(
    max_examples=settings.get_profile(settings.get_current_profile_name()).max_examples // 5,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(made_of=contracts())
def test_specimen_of_random_contract_is_valid(made_of: Contract, tmp_path: Path) -> None:
    checked(made_of, tmp_path)


@pytest.mark.parametrize(
    ("made_of", "complaint"),
    [
        (
            contract(text(REQUIRED, rule("pattern", "odd", regex="[^a-zA-Z0-9? !-]{9}"))),
            "No valid value was found for the column 'x' of a: add `examples`",
        ),
        (
            contract(
                text(rule("unique"), rule("allowed", "known", values=["A", "B"])),
                row_counts=[{"name": "many", "minimum": 3}],
            ),
            "A file of a must have at least 3 rows",
        ),
        (
            contract(text(), dialect={"quote_char": None, "header_rows": [1, 2]}),
            "A file of a cannot be generated: the name of its only column has several parts",
        ),
        *(
            (contract(text(), **vouched), f"The contract of a requires a {what}, which cannot be")
            for what, vouched in (
                ("trailer", {"dialect": {"footer": {"pattern": "^T(?P<rows>.)"}}}),
                ("manifest", {"manifest": {"name": "all.ok"}}),
            )
        ),
    ],
)
def test_specimen_refuses_unsatisfiable_contract(made_of: Contract, complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        specimen(made_of, "1a2b3c", NOW)
