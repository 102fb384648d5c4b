"""Truncation and escaping of text for messages.

Reasons quote files, keys, contracts and errors, which may be megabytes long. A reason passes from a
verdict or an error to the alert, and must respect these limits of AWS:

- The Cause of a Fail state or of a failed task: 32,768 characters.
  https://docs.aws.amazon.com/step-functions/latest/apireference/API_TaskFailedEventDetails.html
- The input and output of a state: 262,144 bytes of UTF-8.
  https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
- An SNS message: 262,144 bytes. The pipeline's contains each text twice, as JSON and as e-mail.
  https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
- A DynamoDB item: 400 KB, with the reasons of all its runs.
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
- An event for EventBridge or for an asynchronous invocation: 1 MB (formerly 256 KB).
  https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html

A character takes up to four bytes in UTF-8, and up to seven in nested JSON.
"""

import re
from collections.abc import Collection

REASON = 2_000
"""Maximum characters of a reason, which take at most 14 KB in any encoding."""
_QUOTE = 50
_ITEMS = 10


def bounded(text: str, limit: int = REASON) -> str:
    """Return `text`, truncated with a note of the omitted length to at most `limit` characters."""
    if len(text) <= limit:
        return text
    kept = limit - len(_left_out(len(text)))
    return text[:kept] + _left_out(len(text) - kept)


def quoted(text: str, limit: int = _QUOTE) -> str:
    """Return `text` in quotes, with nonprintable characters escaped, truncated like `bounded`."""
    return bounded(repr(text), limit)


def visible(text: str, kept: str = "") -> str:
    """Return `text` with nonprintable characters escaped, except those in `kept`."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode()
        for each in text
    )


def one_line(text: str, limit: int = REASON) -> str:
    """Return `text` on one line, with nonprintable characters escaped, truncated like `bounded`."""
    return bounded(visible(" ".join(text.split())), limit)


def listed(texts: Collection[str], limit: int = _ITEMS) -> str:
    """Return the first `limit` texts, separated by commas, and the number of omitted ones."""
    named = ", ".join([*texts][:limit])
    left_out = len(texts) - limit
    return named if left_out <= 0 else f"{named}, … ({left_out:,} more)"


def escape_note(text: str) -> str:
    """Return a note for a message if YAML seems to have left an escape sequence in a text."""
    found = re.search(r"\\[a-z]", text)
    return f"; YAML reads {found[0]} only in double quotes" if found else ""


def is_storable(text: str) -> bool:
    """Return whether a text has neither NUL nor unpaired surrogates, and so fits everywhere."""
    return re.search("[\0\ud800-\udfff]", text) is None


def _left_out(characters: int) -> str:
    return f"… ({characters:,} more characters)"
