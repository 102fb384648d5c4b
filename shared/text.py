"""Text of unknown length, cut to a length that people read and every service takes.

Reasons quote files, keys, contracts and errors, and any of these may be megabytes long. The limits
of AWS that a reason must keep, as it travels from a verdict or an error to the alert:

- A Fail state's Cause, and the cause of a failed task: 32,768 characters.
  https://docs.aws.amazon.com/step-functions/latest/apireference/API_TaskFailedEventDetails.html
- The input and output of a state: 262,144 bytes of UTF-8.
  https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
- A message of SNS: 262,144 bytes, and ours carries each text twice, once as a record and once as
  e-mail. https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
- An item of DynamoDB: 400 KB, with the reasons of all its runs.
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
- An event for EventBridge, or for a function that is called asynchronously: 1 MB, and 256 KB until
  recently. https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html

Some count bytes. A character is up to four bytes of UTF-8, and up to seven in JSON within JSON.
"""

import re
from collections.abc import Collection

REASON = 2_000
"""How many characters a reason may have: at most 14 KB wherever it goes."""
_QUOTE = 50
_ITEMS = 10


def bounded(text: str, limit: int = REASON) -> str:
    """Return `text`, or its beginning and how much is left out: at most `limit` characters."""
    if len(text) <= limit:
        return text
    kept = limit - len(_left_out(len(text)))
    return text[:kept] + _left_out(len(text) - kept)


def quoted(text: str, limit: int = _QUOTE) -> str:
    """Return `text` in quotes, with escapes for what does not print, and cut like `bounded`."""
    return bounded(repr(text), limit)


def visible(text: str, kept: str = "") -> str:
    """Return `text` with each character that does not print escaped, except those in `kept`."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode()
        for each in text
    )


def one_line(text: str, limit: int = REASON) -> str:
    """Return `text` in one line, with escapes for what does not print, and cut like `bounded`."""
    return bounded(visible(" ".join(text.split())), limit)


def listed(texts: Collection[str], limit: int = _ITEMS) -> str:
    """Return texts with commas between them: the first `limit`, and how many are left out."""
    named = ", ".join([*texts][:limit])
    left_out = len(texts) - limit
    return named if left_out <= 0 else f"{named}, … ({left_out:,} more)"


def is_storable(text: str) -> bool:
    """Tell whether PostgreSQL, UTF-8 and JSON take a text: no NUL, no half of a character."""
    return re.search("[\0\ud800-\udfff]", text) is None


def _left_out(characters: int) -> str:
    return f"… ({characters:,} more characters)"
