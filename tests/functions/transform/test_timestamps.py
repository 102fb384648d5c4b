import datetime as dt

import pyarrow as pa
import pytest

from functions.transform import timestamps
from shared.contract import Column, Format
from shared.odcs import load_all
from tests.fixtures import contracts


def column(*formats: Format, zone: str = "Etc/UTC") -> Column:
    return contracts.column("at", "timestamp", "timestamptz", formats=formats, timezone=zone)


def read(text: str | None, of: Column) -> dt.datetime | None:
    values, _ = timestamps.parse_timestamps(pa.array([None, text, "x"], pa.string()), of)
    value: dt.datetime | None = values[1].as_py()
    return value


CHECKINS = load_all()["dailycheckins"].column("timestamp")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2019-09-27 00:00:00 UTC", (2019, 9, 27)),
        ("2018-10-12 10:09:11.001 UTC", (2018, 10, 12, 10, 9, 11, 1_000)),
        ("2018-10-12 10:09:11.0001 UTC", (2018, 10, 12, 10, 9, 11, 100)),
        ("2018-10-12 10:09:11.00019 UTC", (2018, 10, 12, 10, 9, 11, 190)),
        ("2017-12-27 10:36:14.000121 UTC", (2017, 12, 27, 10, 36, 14, 121)),
        ("09/27/2019 12:00 AM", (2019, 9, 27)),
        ("09/27/2019 12:59 PM", (2019, 9, 27, 12, 59)),
        ("11/26/2018 01:49 PM", (2018, 11, 26, 13, 49)),
        ("26 сентября 2019 00:00", (2019, 9, 26)),
        ("6 мая 2019 23:59", (2019, 5, 6, 23, 59)),
        ("2020-02-29 00:00:00 UTC", (2020, 2, 29)),
        ("0001-01-01 00:00:00 UTC", (1, 1, 1)),
        ("9999-12-31 23:59:59.999999 UTC", (9999, 12, 31, 23, 59, 59, 999_999)),
        ("1969-12-31 23:59:59.999999 UTC", (1969, 12, 31, 23, 59, 59, 999_999)),
    ],
)
def test_parse_accepts_every_format_of_feed(text: str, instant: tuple[int, int, int]) -> None:
    assert read(text, CHECKINS) == dt.datetime(*instant, tzinfo=dt.UTC)


@pytest.mark.parametrize("number", range(1, 13))
def test_parse_accepts_russian_months(number: int) -> None:
    names = "января февраля марта апреля мая июня июля августа сентября октября ноября декабря"
    text = f"1 {names.split()[number - 1]} 2019 00:00"

    assert read(text, CHECKINS) == dt.datetime(2019, number, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "NaT", "２０１９-09-27 00:00:00 UTC"),
        *(" 2019-09-27 00:00:00 UTC", "2019-09-27 00:00:00 UTC\n", "2019-09-27 00:00:00"),
        *("2019-09-27 00:00:00.1 UTC", "2019-09-27 00:00:00.1234567 UTC"),
        "2019-09-27 00:00:00.123456.123 UTC",
        *("2019-02-29 00:00:00 UTC", "2019-02-30 00:00:00 UTC", "2019-04-31 00:00:00 UTC"),
        *("2019-13-01 00:00:00 UTC", "2019-00-01 00:00:00 UTC", "2019-01-00 00:00:00 UTC"),
        *("0000-01-01 00:00:00 UTC", "99999-01-01 00:00:00 UTC"),
        *("2019-09-27 24:00:00 UTC", "2019-09-27 23:60:00 UTC", "2019-09-27 23:59:60 UTC"),
        *("09/27/2019 13:00 AM", "09/27/2019 00:30 PM", "27/09/2019 12:00 AM"),
        *("26 сентябрь 2019 00:00", "26 September 2019 00:00"),
    ],
)
def test_parse_rejects_invalid_texts(text: str | None) -> None:
    values, ambiguous = timestamps.parse_timestamps(pa.array([text], pa.string()), CHECKINS)

    assert values.to_pylist() == [None]
    assert ambiguous.to_pylist() == [False]


def test_parse_reports_ambiguous_text() -> None:
    both = column(Format(pattern="dd/MM/yyyy"), Format(pattern="MM/dd/yyyy"))

    values, ambiguous = timestamps.parse_timestamps(
        pa.array(["03/04/2020", "13/04/2020", "05/05/2020"]), both
    )

    assert values.to_pylist() == [
        None,
        dt.datetime(2020, 4, 13, tzinfo=dt.UTC),
        dt.datetime(2020, 5, 5, tzinfo=dt.UTC),
    ]
    assert ambiguous.to_pylist() == [True, False, False]


def test_third_format_does_not_resolve_ambiguity() -> None:
    three = column(
        Format(pattern="dd/MM/yyyy"), Format(pattern="MM/dd/yyyy"), Format(pattern="d/M/yyyy")
    )

    assert read("03/04/2020", three) is None


def test_parse_accepts_quoted_text_and_abbreviated_months() -> None:
    odd = column(Format(pattern="d MMM yyyy 'o''clock' H", locale="en"))

    assert read("3 Mar 2020 o'clock 7", odd) == dt.datetime(2020, 3, 3, 7, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2024-07-01 12:00", "Europe/Berlin", dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC)),
        # A clock change skips the first hour and repeats the second.
        ("2024-03-31 02:30", "Europe/Berlin", None),
        ("2024-10-27 02:30", "Europe/Berlin", None),
        ("2040-07-01 12:00", "Europe/Berlin", dt.datetime(2040, 7, 1, 10, tzinfo=dt.UTC)),
        ("2040-01-01 12:00", "Europe/Berlin", dt.datetime(2040, 1, 1, 11, tzinfo=dt.UTC)),
        ("0001-01-01 00:00", "Europe/Berlin", None),
        ("0001-01-01 00:00", "America/New_York", dt.datetime(1, 1, 1, 4, 56, 2, tzinfo=dt.UTC)),
        ("9999-12-31 23:00", "America/New_York", None),
        ("9999-12-31 23:00", "Europe/Berlin", dt.datetime(9999, 12, 31, 22, tzinfo=dt.UTC)),
    ],
)
def test_parse_uses_timezone_of_column(text: str, zone: str, instant: dt.datetime | None) -> None:
    assert read(text, column(Format(pattern="yyyy-MM-dd HH:mm"), zone=zone)) == instant


def test_parse_accepts_empty_array() -> None:
    berlin = column(Format(pattern="yyyy-MM-dd HH:mm"), zone="Europe/Berlin")

    values, _ = timestamps.parse_timestamps(pa.array([], pa.string()), berlin)

    assert values.type == timestamps.TYPE
    assert len(values) == 0


def test_parse_prefers_timezone_of_format() -> None:
    mixed = column(
        Format(pattern="yyyy-MM-dd HH:mm 'UTC'", timezone="UTC"),
        Format(pattern="yyyy-MM-dd HH:mm"),
        zone="Europe/Berlin",
    )

    assert read("2024-07-01 12:00 UTC", mixed) == dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC)
    assert read("2024-07-01 12:00", mixed) == dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC)


def test_parse_times_accepts_times_of_day() -> None:
    formats = (Format(pattern="HH:mm"), Format(pattern="HH:mm:ss"), Format(pattern="h:mm a"))
    opening = Column.model_construct(name="at", formats=formats)
    texts = ["00:00", "23:59:59", "12:05 AM", "24:00", "1:60 PM", "2024-01-01", None]

    values, ambiguous = timestamps.parse_times(pa.array(texts), opening)

    assert values.to_pylist() == [
        *(dt.time(), dt.time(23, 59, 59), dt.time(0, 5)),
        *[None] * 4,
    ]
    assert not any(ambiguous.to_pylist())
