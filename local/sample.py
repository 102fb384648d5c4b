"""Generate a realistic sample file of a table, with some bad rows.

    python -m local.sample --rows 2000 --seed 1 --out sample.csv
    python -m local.sample --table projectbudgets --rows 200 --out budgets.csv

The same seed gives the same file.

dailycheckins: like the feed that this project was built for. CRLF line ends, none after the last
row. Three timestamp formats: nine in ten ISO with 0, 3, 4, 5 or 6 fraction digits, the rest US and
Russian. Several check-ins at one instant, and exact repeats. One row in 400 is bad, in turn: a
missing user, an impossible date, hours that are not a number, a missing column. One row in 1,000
has more than 24 hours, which gives a warning.

projectbudgets: like an export of a German ERP. cp1252, semicolons, decimal commas, two date
formats, and a column of remarks that is not in the contract. One row in 40 is bad, in turn: an
unknown business unit, a repeated project, half a person day, an invalid boolean. One row in 50
starts in the future, which gives a warning.
"""

import argparse
import datetime as dt
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

BAD_EVERY = 400
LONG_EVERY = 1_000
BAD_BUDGET_EVERY = 40
PLANNED_EVERY = 50

_USERS = (
    "arya benjen bran brienne bronn catelyn cersei daenerys davos drogo eddard gendry gilly hodor "
    "hound jaime joffrey jon jorah littlefinger margaery melisandre missandei ned oberyn osha "
    "podrick ramsay rickon robb robert samwell sansa shae stannis theon tommen tyrion tywin varys"
).split()
_PROJECTS = [
    *"bizdev cultureandmanagement events finance learning opsandadmin transit website".split(),
    *(f"project-{number:02}" for number in range(92)),
]
_HOURS = "1.0 0.5 2.0 1.5 3.0 4.0 0.25 2.5 5.0 0.75 8.0 0.125 0.37 6.5".split()
_HOUR_WEIGHTS = (19, 14, 10, 8, 6, 4, 3, 3, 3, 2, 2, 1, 1, 1)
_RUSSIAN_MONTHS = (
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря"
).split()
_GERMAN_MONTHS = (
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
).split()
_UNITS = ("Beratung", "Entwicklung", "Öffentliche Hand")
_REMARKS = ("", "", "", '"fix; nach ""Aufwand"" abgerechnet"', "siehe Vertrag")
_FIRST = dt.datetime(2010, 10, 4, tzinfo=dt.UTC)
_DAYS = 3280


def checkins(count: int, seed: int) -> Iterator[str]:
    """Yield `count` rows of dailycheckins, without header and line ends."""
    rng = random.Random(seed)
    flaws = itertools.cycle(((0, ""), (1, "2019-02-30 00:00:00 UTC"), (2, "a few"), (3, None)))
    made = 0
    while True:
        instant = _instant(rng)
        user = rng.choice(_USERS)
        for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
            if made == count:
                return
            made += 1
            hours = rng.choices(_HOURS, _HOUR_WEIGHTS)[0]
            if made % LONG_EVERY == 0:
                hours = "30.0"
            row = [user, _written(instant, rng), hours, rng.choice(_PROJECTS)]
            yield ",".join(_spoilt(row, *next(flaws)) if made % BAD_EVERY == 0 else row)


def budgets(count: int, seed: int) -> Iterator[str]:
    """Yield `count` rows of projectbudgets, without header and line ends."""
    rng = random.Random(seed)
    flaws = itertools.cycle(((1, "Vertrieb"), (0, _PROJECTS[0]), (3, "12,5"), (5, "vielleicht")))
    later = (f"project-{number:03}" for number in itertools.count(len(_PROJECTS)))
    for made, project in enumerate(itertools.islice(itertools.chain(_PROJECTS, later), count), 1):
        begin = _FIRST.date() + dt.timedelta(days=rng.randrange(_DAYS))
        if made % PLANNED_EVERY == 0:
            begin = begin.replace(year=2099, day=1)
        row = [
            project,
            rng.choice(_UNITS),
            _budget(rng),
            rng.choice(("", str(rng.randrange(1, 400)))),
            _written_in_german(begin, rng),
            rng.choice(("ja", "ja", "nein")),
            rng.choice(_REMARKS),
        ]
        yield ";".join(_spoilt(row, *next(flaws)) if made % BAD_BUDGET_EVERY == 0 else row)


@dataclass(frozen=True, slots=True)
class _Table:
    header: str
    encoding: str
    rows: Callable[[int, int], Iterator[str]]


TABLES = {
    "dailycheckins": _Table("user,timestamp,hours,project", "utf-8", checkins),
    "projectbudgets": _Table(
        "Projekt;Geschäftsfeld;Budget €;Personentage;Beginn;Abrechenbar;Bemerkung",
        "cp1252",
        budgets,
    ),
}


def write(path: Path, count: int, seed: int, table: str = "dailycheckins") -> None:
    """Write a file with a header and `count` rows."""
    made = TABLES[table]
    with path.open("w", encoding=made.encoding, newline="") as file:
        file.write(made.header)
        file.writelines(f"\r\n{row}" for row in made.rows(count, seed))


def main() -> None:
    """Run the command line interface."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--table", choices=TABLES, default="dailycheckins", help="the table")
    parser.add_argument("--rows", type=int, default=2_000, help="the number of rows")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the random numbers")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    arguments = parser.parse_args()
    write(arguments.out, arguments.rows, arguments.seed, arguments.table)


def _instant(rng: random.Random) -> dt.datetime:
    day = _FIRST + dt.timedelta(days=rng.randrange(_DAYS))
    if rng.random() < 0.4:
        return day
    return day + dt.timedelta(seconds=rng.randrange(86_400), microseconds=rng.randrange(1_000_000))


def _written(instant: dt.datetime, rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.05:
        return f"{instant:%m/%d/%Y %I:%M %p}"
    if pick < 0.10:
        month = _RUSSIAN_MONTHS[instant.month - 1]
        return f"{instant.day} {month} {instant:%Y %H:%M}"
    digits = rng.choice((3, 4, 5, 6)) if instant.microsecond else 0
    fraction = f".{instant.microsecond:06}"[: digits + 1] if digits else ""
    return f"{instant:%Y-%m-%d %H:%M:%S}{fraction} UTC"


def _spoilt(row: list[str], column: int, text: str | None) -> list[str]:
    """Return the row with another text in a column, or without the column."""
    return [*row[:column], *([] if text is None else [text]), *row[column + 1 :]]


def _budget(rng: random.Random) -> str:
    if rng.random() < 0.1:
        return "-"
    decimals = rng.choice((0, 1, 2, 2, 2, 3))
    return f"{rng.uniform(1_000, 250_000):.{decimals}f}".replace(".", ",")


def _written_in_german(day: dt.date, rng: random.Random) -> str:
    pick = rng.random()
    if pick < 0.05:
        return "-"
    if pick < 0.25:
        return f"{day.day}. {_GERMAN_MONTHS[day.month - 1]} {day.year}"
    return f"{day:%d.%m.%Y}"


if __name__ == "__main__":
    main()
