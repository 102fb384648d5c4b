import datetime as dt
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from functions.transform import timestamps
from shared.column import Column
from shared.formats import Format
from shared.odcs import load_all
from tests.fixtures import contracts


def column(*formats: Format, **more: Any) -> Column:
    return contracts.column("at", "timestamp", "timestamptz", formats=formats, **more)


def read(text: str | None, of: Column) -> dt.datetime | None:
    values, _ = timestamps.parse_timestamps(pa.array([None, text, "x"], pa.string()), of)
    value: dt.datetime | None = values[1].as_py()
    return value


MONTHS = "января февраля марта апреля мая июня июля августа сентября октября ноября декабря"
CHECKINS = load_all()["dailycheckins"].column("timestamp")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2018-10-12 10:09:11.001 UTC", (2018, 10, 12, 10, 9, 11, 1_000)),
        ("2018-10-12 10:09:11.0001 UTC", (2018, 10, 12, 10, 9, 11, 100)),
        ("2018-10-12 10:09:11.00019 UTC", (2018, 10, 12, 10, 9, 11, 190)),
        ("2017-12-27 10:36:14.000121 UTC", (2017, 12, 27, 10, 36, 14, 121)),
        ("09/27/2019 12:59 PM", (2019, 9, 27, 12, 59)),
        ("11/26/2018 01:49 PM", (2018, 11, 26, 13, 49)),
        *((f"1 {name} 2019 00:00", (2019, n, 1)) for n, name in enumerate(MONTHS.split(), 1)),
        ("6 мая 2019 23:59", (2019, 5, 6, 23, 59)),
        ("9999-12-31 23:59:59.999999 UTC", (9999, 12, 31, 23, 59, 59, 999_999)),
        ("1969-12-31 23:59:59.999999 UTC", (1969, 12, 31, 23, 59, 59, 999_999)),
    ],
)
def test_parse_accepts_every_format_of_feed(text: str, instant: tuple[int, int, int]) -> None:
    assert read(text, CHECKINS) == dt.datetime(*instant, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "２０１９-09-27 00:00:00 UTC", "26 сентябрь 2019 00:00"),
        *(" 2019-09-27 00:00:00 UTC", "2019-09-27 00:00:00 UTC\n", "2019-09-27 00:00:00"),
        *("2019-09-27 00:00:00.1 UTC", "2019-09-27 00:00:00.123456.123 UTC"),
        *("2019-00-01 00:00:00 UTC", "2019-09-27 23:60:00 UTC"),
    ],
)
def test_parse_rejects_invalid_texts(text: str | None) -> None:
    values, reasons = timestamps.parse_timestamps(pa.array([text], pa.string()), CHECKINS)

    assert values.to_pylist() == [None]
    assert "two formats" not in reasons()[0].as_py()


def test_third_format_does_not_resolve_ambiguity() -> None:
    three = column(
        Format(pattern="dd/MM/yyyy"), Format(pattern="MM/dd/yyyy"), Format(pattern="d/M/yyyy")
    )

    assert read("03/04/2020", three) is None


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2024-07-01 12:00", "Europe/Berlin", dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC)),
        ("2040-01-01 12:00", "Europe/Berlin", dt.datetime(2040, 1, 1, 11, tzinfo=dt.UTC)),
        ("0001-01-01 00:00", "America/New_York", dt.datetime(1, 1, 1, 4, 56, 2, tzinfo=dt.UTC)),
        ("9999-12-31 23:00", "America/New_York", None),
        ("9999-12-31 23:00", "Europe/Berlin", dt.datetime(9999, 12, 31, 22, tzinfo=dt.UTC)),
    ],
)
def test_parse_uses_timezone_of_column(text: str, zone: str, instant: dt.datetime | None) -> None:
    assert read(text, column(Format(pattern="yyyy-MM-dd HH:mm"), timezone=zone)) == instant


NOON = (2024, 1, 1, 12)


@pytest.mark.parametrize(
    ("form", "text", "instant"),
    [
        ({"pattern": "yyyy-MM-dd HH:mm:ss.SSS"}, "2024-01-01 12:00:00.500", (*NOON, 0, 0, 500_000)),
        ({"pattern": "yyyy-MM-dd HH:mm:ss.SSS"}, "2024-01-01 12:00:00", None),
        ({"pattern": "yyyy-MM-dd HH:mm:ss[,SSS]"}, "2024-01-01 12:00:00,5", None),
        (
            {"pattern": "yyyy-MM-dd HH:mm:ss[,SSS][,S]"},
            "2024-01-01 12:00:00,5",
            (*NOON, 0, 0, 500_000),
        ),
        (
            {"pattern": "yyyy-MM-dd HH:mm:ss.SSSSSSSSS"},
            "2024-01-01 12:00:00.000001000",
            (*NOON, 0, 0, 1),
        ),
        ({"pattern": "yyyy-MM-dd HH:mm:ss.SSSSSSSSS"}, "2024-01-01 12:00:00.000001999", None),
        (
            {"pattern": "yyyy-MM-dd HH:mm:ss.SSSSSSSSS", "beyond_microseconds": "truncate"},
            "2024-01-01 12:00:00.000001999",
            (*NOON, 0, 0, 1),
        ),
        *(
            ({"pattern": f"yyyy-MM-dd HH:mm:ss{letters}"}, f"2024-01-01 {text}", instant)
            for letters, text, instant in (
                *((each, "12:00:00Z", NOON) for each in ("X", "XX", "XXX", "VV", "[XXX][VV]")),
                ("XXX", "14:30:00+02:30", NOON),
                ("XXX", "06:00:00-06:00", NOON),
                *(("X", f"14:00:00{offset}", NOON) for offset in ("+02", "+0200")),
                ("XX", "14:30:00+0230", NOON),
                ("Z", "14:30:00+0230", NOON),
                ("xxx", "12:00:00-00:00", NOON),
                ("XXX", "06:00:00-18:00", (2024, 1, 2)),
                *(
                    ("XXX", f"12:00:00{offset}", None)
                    for offset in ("+18:01", "+02:60", "+0200", "z")
                ),
                *((each, "12:00:00Z", None) for each in ("Z", "x", "xx", "xxx")),
                (" VV", "13:00:00 Europe/Berlin", NOON),
                *((" VV", f"12:00:00 {zone}", None) for zone in ("Europe", "../UTC", "Mars/Base")),
            )
        ),
        ({"pattern": "yyyy-MM-dd HH:mm:ss VV"}, "2024-03-31 02:30:00 Europe/Berlin", None),
        ({"pattern": "yyyyMMddHHmmss"}, "20240101120000", NOON),
        ({"pattern": "d/M/yyyy H:mm"}, "1/2/2024 9:05", (2024, 2, 1, 9, 5)),
        (
            {"pattern": "yyyy-MM-dd HH:mm:ss'+02:00'", "timezone": "Etc/GMT-2"},
            "2024-01-01 14:00:00+02:00",
            NOON,
        ),
        ({"pattern": "yyyy-MM-ddXXX"}, "2024-01-02+12:00", NOON),
        ({"pattern": "d MMM yyyy 'o''clock' H"}, "3 Mar 2020 o'clock 7", (2020, 3, 3, 7)),
        ({"pattern": "dd-MMM-yy"}, "01-JAN-24", (2024, 1, 1)),
        ({"pattern": "dd-MMM-yy"}, "01-jan-99", (2099, 1, 1)),
        ({"pattern": "dd-MMM-yy", "pivot": 1950}, "01-JAN-50", (1950, 1, 1)),
        ({"pattern": "dd-MMM-yy", "pivot": 1950}, "01-JAN-49", (2049, 1, 1)),
        ({"pattern": "dd. MMM yyyy", "locale": "de"}, "01. sept. 2024", (2024, 9, 1)),
        ({"pattern": "dd. MMM yyyy", "locale": "de"}, "01. Sept 2024", (2024, 9, 1)),
        ({"pattern": "d MMMM yyyy", "locale": "el"}, "1 ΙΑΝΟΥΑΡΊΟΥ 2024", (2024, 1, 1)),
        *(
            ({"pattern": "yyyy-MM-dd h:mm a", "locale": locale}, f"2024-01-01 {text}", NOON)
            for locale, text in (
                *(("en", f"12:00{space}pm") for space in (" ", "\u00a0", "\u202f")),
                *(
                    ("es", f"12:00 {noon}")
                    for noon in ("p.\u202fm.", "p. m.", "p.m.", "pm", "P.M.")
                ),
            )
        ),
        ({"pattern": "EEE, dd MMM yyyy HH:mm 'GMT'"}, "Mon, 01 Jan 2024 12:00 GMT", NOON),
        ({"pattern": "EEE, dd MMM yyyy HH:mm 'GMT'"}, "Tue, 01 Jan 2024 12:00 GMT", None),
        ({"pattern": "EEEE, d. MMMM yyyy", "locale": "de"}, "montag, 1. januar 2024", (2024, 1, 1)),
        ({"pattern": "MM/yyyy"}, "02/2024", (2024, 2, 1)),
        ({"pattern": "LLLL yyyy", "locale": "ru"}, "май 2024", (2024, 5, 1)),
        ({"pattern": "'Q'Q yyyy"}, "Q4 2024", (2024, 10, 1)),
        ({"pattern": "'Q'Q yyyy"}, "Q5 2024", None),
        *(
            ({"pattern": "[yyyy-MM-dd][dd.MM.yyyy][ HH:mm[:ss]]"}, text, instant)
            for text, instant in (
                ("2024-01-01", (2024, 1, 1)),
                ("01.01.2024 12:00", NOON),
                ("2024-01-01 12:00:01", (*NOON, 0, 1)),
                ("2024-01-0101.01.2024", None),
                (" 12:00", None),
            )
        ),
        ({"pattern": "[dd/MM/yyyy][MM/dd/yyyy]"}, "03/04/2024", None),
        ({"pattern": "[dd/MM/yyyy][MM/dd/yyyy]"}, "04/04/2024", (2024, 4, 4)),
        *(
            ({"pattern": "iso8601", "timezone": "Asia/Tokyo"}, text, instant)
            for text, instant in (
                *((f"2024-01-01T12:00{end}", NOON) for end in (":00Z", "Z", ":00+00", ":00-0000")),
                ("2024-01-01 14:30:00.000+02:30", NOON),
                ("2024-01-01t12:00:00,1z", (*NOON, 0, 0, 100_000)),
                ("2024-01-01T12:00:00.1234567Z", None),
                (f"2024-01-01T12:00:00.{'0' * 100_000}Z", NOON),
                ("2024-01-01T21:00", NOON),
                ("2024-01-02", (2024, 1, 1, 15)),
                *((text, None) for text in ("20240101", "2024-01", "2024-W01", "2024-01-01T24:00")),
            )
        ),
        *(
            ({"pattern": "epochSeconds"}, text, instant)
            for text, instant in (
                ("1704110400", NOON),
                ("1704110400.5", (*NOON, 0, 0, 500_000)),
                ("-0.000001", (1969, 12, 31, 23, 59, 59, 999_999)),
                ("-62135596800", (1, 1, 1)),
                ("253402300799.999999", (9999, 12, 31, 23, 59, 59, 999_999)),
                *(
                    (text, None)
                    for text in ("-62135596800.1", "253402300800", "+1", ".5", "9" * 50)
                ),
            )
        ),
        ({"pattern": "epochMillis"}, "1704110400001", (*NOON, 0, 0, 1_000)),
        ({"pattern": "epochMillis"}, "-1", (1969, 12, 31, 23, 59, 59, 999_000)),
        ({"pattern": "epochMillis"}, "999999999999999", None),
    ],
)
def test_parse_reads_format(
    form: dict[str, Any], text: str, instant: tuple[int, int, int] | None
) -> None:
    expected = None if instant is None else dt.datetime(*instant, tzinfo=dt.UTC)

    assert read(text, column(Format(**form))) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "date"),
    [
        ("yyyy-MM", "2024-02", dt.date(2024, 2, 1)),
        ("Q/yyyy", "2/2024", dt.date(2024, 4, 1)),
        ("yyyy-MM-dd' 00:00:00'", "2024-02-01 00:00:00", dt.date(2024, 2, 1)),
        ("yyyy-MM-dd' 00:00:00'", "2024-02-01 00:00:01", None),
    ],
)
def test_parse_reads_date_of_month_or_with_constant_time(
    pattern: str, text: str, date: dt.date | None
) -> None:
    of = contracts.column("day", "date", "date", formats=(Format(pattern=pattern),))

    assert timestamps.parse_dates(pa.array([text]), of)[0].to_pylist() == [date]


@pytest.mark.parametrize(
    ("form", "text", "reason"),
    [
        ("yyyy-MM-dd HH:mm", "2024-02-30 12:00", "is not a valid date in any of the formats dd/MM"),
        ("yyyy-MM-dd HH:mm", "x", "is not a valid date in any of the formats dd/MM/yy |"),
        ("yyyy-MM-dd HH:mm", "2024-03-31 02:30", "is in an hour that the clock change in"),
        ("yyyy-MM-dd HH:mm", "0001-01-01 00:00", "is outside the calendar (years 1 to 9999) in"),
        ("yyyy-MM-dd HH:mmVV", "2024-03-31 02:30Europe/Rome", "is in an hour that the clock"),
        ("yyyy-MM-dd HH:mmVV", "2024-01-01 12:00CEST", "has an unknown time zone, or an offset of"),
        ("ss[.SSS] mm HH dd.MM.yyyy", "01.1234 00 12 01.01.2024", "has a fraction of more than 3"),
        ("iso8601", "2024-01-01T12:00:00.1234567", "has a fraction of more than 6 digits, but"),
        ("EEE dd.MM.yyyy", "Tue 01.01.2024", "has another weekday than its date in the format EEE"),
    ],
)
def test_parse_explains_rejected_text(form: str, text: str, reason: str) -> None:
    berlin = column(Format(pattern="dd/MM/yy"), Format(pattern=form), timezone="Europe/Berlin")

    values, reasons = timestamps.parse_timestamps(pa.array([text, "01/01/24"]), berlin)

    assert values.is_valid().to_pylist() == [False, True]
    assert reasons()[0].as_py().startswith(f"at {reason}"), reasons()[0].as_py()


PARTS = (
    ["yyyy", "yy", "[yyyy][yy]"],
    ["/", "-", ""],
    ["MM", "M", "MMM", "MMMM", "LLL", "Q", "[MM]['Q'Q]"],
    ["", "", " dd", "d", "[-dd]", " d EEE", "[EEEE d]"],
    ["", "", " HH", " h:mm a", "[ HH:mm[:ss]]", "'T'HH:mm:ss.SSS", "HHmm[ss[.SSSSSSSSS][,S]]"],
    ["", "", "X", "[XXX]", "Z", " VV", "[x][' 'VV]", "*", "[", "G"],
)
PATTERNS = st.tuples(*map(st.sampled_from, PARTS)).map("".join) | st.sampled_from(
    ["iso8601", "epochSeconds", "epochMillis"]
)
LOCALES = st.sampled_from(["en", "de", "es", "el", "fa", "ja", "tr", "vi"])
KINDS: dict[str, dict[str, str]] = {
    "date": {"physical_type": "date"},
    "timestamp": {"physical_type": "timestamptz"},
}


@pytest.mark.scaled
@given(PATTERNS, LOCALES, st.sampled_from(sorted(KINDS)), st.data())
def test_every_valid_format_reads_every_text(
    pattern: str, locale: str, kind: str, data: st.DataObject
) -> None:
    """Also, texts read by their shapes have the values of texts read one by one."""
    try:
        of = contracts.column(
            "at", kind, formats=(Format(pattern=pattern, locale=locale),), **KINDS[kind]
        )
    except ValueError:
        event("refused")
        return
    regexes = [each.regex for each in of.formats[0].readings(of.type.formats or "days")]
    texts = [data.draw(st.from_regex(each.replace(r"\z", r"\Z"))) for each in regexes]
    parse = timestamps.parse_dates if kind == "date" else timestamps.parse_timestamps
    random = data.draw(st.randoms())
    texts += [re.sub("[0-9]", lambda _: random.choice("0123456789"), each) for each in texts]
    # A slice, whose texts do not begin at the first byte.
    array = pa.array(["before", *texts, None, "", "x"])[1:]

    values, reasons = parse(array, of)

    assert len(values) == len(reasons()) == len(array)
    event("read" if values.null_count < len(values) else "rejected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timestamps, "_MAX_SHAPES", 0)
        expected, expected_reasons = parse(array, of)
        assert values.equals(expected)
        assert reasons().equals(expected_reasons())


def test_parse_accepts_empty_array() -> None:
    berlin = column(Format(pattern="yyyy-MM-dd HH:mm"), timezone="Europe/Berlin")

    values, _ = timestamps.parse_timestamps(pa.array([], pa.string()), berlin)

    assert values.type == timestamps.TYPE
    assert len(values) == 0


def test_parse_prefers_timezone_of_format() -> None:
    mixed = column(
        Format(pattern="yyyy-MM-dd HH:mm 'UTC'", timezone="UTC"),
        Format(pattern="yyyy-MM-dd HH:mm"),
        timezone="Europe/Berlin",
    )

    assert read("2024-07-01 12:00 UTC", mixed) == dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)
    assert read("2024-07-01 12:00", mixed) == dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC)
