import pytest

from shared.manifest import Manifest


@pytest.mark.parametrize(
    ("name", "file", "groups", "manifest"),
    [
        ("{name}.ctl", "a.csv.gz", {}, "a.csv.gz.ctl"),
        ("{stem}.ok", "a.csv.gz", {}, "a.ok"),
        ("control_{region}_{stem}.txt", "a.csv", {"region": "eu"}, "control_eu_a.txt"),
        ("{region}.ok", "a.csv", {"region": None}, None),
        ("{region}.ok", "a.csv", {}, None),
        ("_SUCCESS", "a.csv", {}, "_SUCCESS"),
        ("{name}.md5", r"\1.{stem}", {}, r"\1.{stem}.md5"),
    ],
)
def test_manifest_is_named_after_data_file(
    name: str, file: str, groups: dict[str, str | None], manifest: str | None
) -> None:
    model = Manifest(name=name)

    assert model.name_for(file, groups) == manifest
    assert manifest is None or model.is_name(manifest)
    assert not model.is_name(file)
