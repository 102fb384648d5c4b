import pytest

from shared.errors import InvalidEvent
from shared.ingestion import Ingestion, Run, Source
from tests.fixtures.aws import ingestion_of

KEY = "table=dailycheckins/year=2024/month=3/day=3/f.csv"
SOURCE = Source("landing", KEY, "v1", 10)


def test_ingestion_id_depends_only_on_object_version() -> None:
    first = ingestion_of(SOURCE)

    assert first.id.startswith("20240303-")
    assert len(first.id) == len("20240303-4f0c2a91be")
    assert first == ingestion_of(SOURCE)
    assert first.id != ingestion_of(Source("landing", KEY, "v2", 10)).id
    assert first.execution_name() == f"dailycheckins-{first.id}"
    assert first.execution_name(3) == f"dailycheckins-{first.id}-r3"
    assert first.partition == (f"table=dailycheckins/year=2024/month=3/day=3/ingestedID={first.id}")


def test_execution_name_fits_longest_table_name() -> None:
    key = f"table={'t' * 48}/year=2024/month=3/day=3/f.csv"

    assert len(ingestion_of(Source("landing", key, "v", 1)).execution_name(999)) <= 80


def test_ingestion_round_trips_through_event() -> None:
    assert Ingestion.from_event(ingestion_of(SOURCE).as_event()) == ingestion_of(SOURCE)


@pytest.mark.parametrize("missing", ["ingestedID", "dataDate", "source"])
def test_from_event_names_missing_field(missing: str) -> None:
    event = ingestion_of(SOURCE).as_event()
    del event[missing]

    with pytest.raises(InvalidEvent, match=missing):
        Ingestion.from_event(event)


def test_run_from_event_requires_execution() -> None:
    with pytest.raises(InvalidEvent, match="execution"):
        Run.from_event({})
    assert Run.from_event({"execution": {"arn": "a", "redrive": 1}}) == Run("a", 1)
