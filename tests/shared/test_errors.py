import inspect
import re

from shared import errors


def _classes() -> dict[str, type[Exception]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }


def test_every_error_is_in_the_tree_that_is_drawn() -> None:
    assert all(issubclass(each, errors.PipelineError) for each in _classes().values())
    drawn = set(re.findall(r"^[│├└─ ]*([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE))
    assert drawn >= _classes().keys()


def test_only_leaves_are_meant_to_be_raised() -> None:
    parents = {parent for each in _classes().values() for parent in each.__bases__}

    assert parents & set(_classes().values()) == {errors.PipelineError, errors.Retryable}
