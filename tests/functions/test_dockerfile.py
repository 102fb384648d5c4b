"""The Dockerfile uses only commands of AWS's base image.

A build on another base image cannot test this. AWS's image consists of Python and the packages of
the minimal container of Amazon Linux 2023.
"""

import re
import shlex
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path

import pytest

DOCKERFILE = Path(__file__).parents[2] / "functions" / "Dockerfile"

# Commands for RUN, by package. The base image is based on the minimal container
# (https://docs.aws.amazon.com/lambda/latest/dg/images-create.html). Its packages
# are listed in the column "Minimal Container" in
# https://docs.aws.amazon.com/linux/al2023/ug/al2023-container-ami.html.
#
# Not included: findutils (find, xargs), tar, gzip, xz, cpio, which, procps-ng (ps), diffutils
# (diff, cmp), file, openssl, less, hostname, util-linux (mount, kill, getopt), shadow-utils
# (useradd), sudo, jq, perl, unzip, wget. See
# https://github.com/aws/aws-lambda-base-images/issues/173 and .../issues/196.
#
# If a RUN installs a package with microdnf, add its commands here.
COMMANDS = {
    "bash": ": [ bash cd command echo eval exec exit export printf set sh shopt test trap true",
    "coreutils-single": """
        basename cat chgrp chmod chown cp cut date dirname env head install ln ls mkdir mktemp mv
        readlink realpath rm rmdir sha256sum sha512sum sort stat tail tee touch tr uniq wc""",
    "curl-minimal": "curl",
    "gawk": "awk gawk",
    "grep": "egrep fgrep grep",
    "microdnf and microdnf-dnf": "dnf microdnf",
    "rpm": "rpm",
    "sed": "sed",
    # See https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
    "Python, of Lambda": "pip pip3 python python3",
}
AVAILABLE = {command for commands in COMMANDS.values() for command in commands.split()}


def commands(dockerfile: str) -> list[str]:
    """Return the commands of every RUN, in order."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE).replace("\\\n", " ")
    runs = re.findall(r"^\s*RUN\s+(.*)$", text, re.MULTILINE | re.IGNORECASE)
    return [command for run in runs for command in called(run)]


def called(script: str) -> Iterator[str]:
    """Yield the commands of a shell script, and every word that may contain a command."""
    lexer = shlex.shlex(script, posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set(";&|()"):
            parts.append([])
        else:
            parts[-1].append(word)
    for words in filter(None, parts):
        yield from (word for word in words if re.search(r"\$\(|`|<<", word))
        for command in list(dropwhile(lambda word: re.match(r"\w+=", word), words))[:1]:
            yield command
            if command in {"bash", "sh"} and "-c" in words:
                yield from called(words[words.index("-c") + 1])


def test_base_image_has_every_command_of_dockerfile() -> None:
    found = commands(DOCKERFILE.read_text())

    assert {"pip", "rm"} <= set(found), "the test does not find the commands"
    assert set(found) - AVAILABLE == set(), "AWS's base image lacks these commands"


@pytest.mark.parametrize(
    ("run", "command"),
    [
        ("RUN tar xf x.tar", "tar"),
        ("RUN cd /tmp && tar xf x.tar", "tar"),
        ("RUN cd /tmp \\\n # a comment\n && tar xf x.tar", "tar"),
        ("RUN cat x | gzip > y", "gzip"),
        ("RUN (cd /tmp; tar xf x.tar)", "tar"),
        ("RUN HOME=/tmp tar xf x.tar", "tar"),
        ("RUN bash -O globstar -c 'cd /tmp && tar xf x.tar'", "tar"),
        ("RUN echo $(which python)", "which"),
        ('RUN echo "$(which python)"', "$(which python)"),
        ('RUN ["tar", "xf", "x.tar"]', "[tar,"),
        ("RUN if true; then tar xf x.tar; fi", "then"),
        ("RUN <<EOF\ntar xf x.tar\nEOF", "<<"),
    ],
)
def test_unavailable_command_is_found(run: str, command: str) -> None:
    assert command in set(commands(f"FROM x\n{run}\nUSER 1\n")) - AVAILABLE
