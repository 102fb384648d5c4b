import pytest

from shared.errors import InvalidEvent
from shared.ingestion import Ingestion, Run, Source, unmatched_id
from tests.fixtures.aws import ingestion_of

KEY = "table=dailycheckins/year=2024/month=3/day=3/f.csv"
SOURCE = Source("landing", KEY, "v1", 10)


def test_the_id_is_the_versions_and_never_the_clocks() -> None:
    first = ingestion_of(SOURCE)

    assert first.id.startswith("20240303-")
    assert len(first.id) == len("20240303-4f0c2a91be")
    assert first == ingestion_of(SOURCE)
    assert first.id != ingestion_of(Source("landing", KEY, "v2", 10)).id
    assert first.execution_name() == f"dailycheckins-{first.id}"
    assert first.execution_name(3) == f"dailycheckins-{first.id}-r3"
    assert first.partition == (f"table=dailycheckins/year=2024/month=3/day=3/ingestedID={first.id}")


def test_the_longest_table_fits_an_execution_name() -> None:
    key = f"table={'t' * 48}/year=2024/month=3/day=3/f.csv"

    assert len(ingestion_of(Source("landing", key, "v", 1)).execution_name(999)) <= 80


def test_it_travels_through_the_state_machine() -> None:
    assert Ingestion.from_event(ingestion_of(SOURCE).as_event()) == ingestion_of(SOURCE)


@pytest.mark.parametrize("missing", ["ingestedID", "dataDate", "source"])
def test_an_event_that_lacks_something(missing: str) -> None:
    event = ingestion_of(SOURCE).as_event()
    del event[missing]

    with pytest.raises(InvalidEvent, match=missing):
        Ingestion.from_event(event)


def test_a_task_without_its_execution() -> None:
    with pytest.raises(InvalidEvent, match="execution"):
        Run.from_event({})
    assert Run.from_event({"execution": {"arn": "a", "redrive": 1}}) == Run("a", 1)


def test_unmatched_keys_have_ids_of_their_own() -> None:
    assert unmatched_id(SOURCE) != unmatched_id(Source("landing", "x", "v1", 10))
