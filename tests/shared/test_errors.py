import inspect
import re

from shared import errors


def _classes() -> dict[str, type[Exception]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }


def test_docstring_lists_every_error() -> None:
    assert all(issubclass(each, errors.PipelineError) for each in _classes().values())
    drawn = set(re.findall(r"^[│├└─ ]*([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE))
    assert drawn >= _classes().keys()


def test_errors_have_two_base_classes() -> None:
    parents = {parent for each in _classes().values() for parent in each.__bases__}

    assert parents & set(_classes().values()) == {errors.PipelineError, errors.Retryable}
