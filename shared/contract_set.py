"""Contract set of a stack: one file `<table>.odcs.yaml` per table.

Parsing a contract takes about 3 ms, and a function usually needs one of many. A set is therefore
parsed lazily: a lookup of one table parses only its file, and the files that may conflict with it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from shared.contract import Contract
from shared.errors import InvalidContract
from shared.odcs import SUFFIX, parse, read, relation
from shared.text import one_line


class Contracts(Mapping[str, Contract]):
    """Mapping of tables to valid contracts; `invalid` has the reasons for the others.

    The lookup of an invalid contract raises InvalidContract. Length and iteration exclude it.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Take the contents of files by name; ignore files other than `*.odcs.yaml`."""
        self._contents = {
            name.removesuffix(SUFFIX): files[name]
            for name in sorted(files)
            if name.endswith(SUFFIX)
        }
        self._parsed: dict[str, Contract | InvalidContract] = {}
        """Results of parsing single files, by table."""
        self._checked: dict[str, Contract | InvalidContract] = {}
        """Results after the check for conflicts with other files, by table."""
        self._mentioning: dict[str, list[str]] = {}

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Return the contract set of a folder; raise InvalidContract if it has no contract file."""
        files, unreadable = {}, {}
        for path in folder.glob(f"*{SUFFIX}"):
            try:
                files[path.name] = read(path)
            except InvalidContract as error:
                files[path.name] = b""
                unreadable[path.name.removesuffix(SUFFIX)] = error
        if not files:
            raise InvalidContract(
                one_line(f"no contract (*{SUFFIX}) in {folder}: write one per table")
            )
        contracts = cls(files)
        contracts._parsed |= unreadable
        return contracts

    @classmethod
    def unpacked(cls, content: bytes) -> Self:
        """Return the contract set that Terraform deployed as `{"<file name>": "<text>", …}`.

        Raises:
            InvalidContract: `content` has another form, or contains no contract file.
        """
        try:
            texts = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InvalidContract(
                one_line(f"the deployed contracts are not JSON: {error}: run terraform apply again")
            ) from error
        if not isinstance(texts, dict) or not all(isinstance(each, str) for each in texts.values()):
            raise InvalidContract(
                "the deployed contracts are not a JSON object of file names and texts: "
                "run terraform apply again"
            )
        # An unpaired surrogate, which only JSON allows, invalidates one contract only.
        contracts = cls(
            {name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()}
        )
        if not contracts._contents:
            raise InvalidContract(
                f"no contract (*{SUFFIX}) is deployed: add one to the folder `contracts_dir`, then "
                "run terraform apply"
            )
        return contracts

    @property
    def tables(self) -> list[str]:
        """The tables with a contract file, valid or not, sorted."""
        return sorted(self._contents)

    @property
    def invalid(self) -> Mapping[str, str]:
        """The problems of each invalid contract as one text, by the file's name without suffix."""
        return {table: str(error) for table, error in self._invalid.items()}

    @property
    def problems(self) -> list[str]:
        """The problems of all files, one text each; each text begins with the file's name."""
        return [problem for error in self._invalid.values() for problem in error.problems]

    def content(self, table: str) -> bytes:
        """Return the content of a table's contract file, valid or not; raise KeyError if none."""
        return self._contents[table]

    def all_valid(self) -> Self:
        """Return the set itself; raise InvalidContract if a contract is invalid."""
        if invalid := self.invalid:
            raise InvalidContract(one_line("; ".join(invalid.values())), self.problems)
        return self

    def mentioning(self, name: str) -> list[str]:
        """Return the tables whose contract, valid or not, may have a property of that name.

        `name` consists of lower-case letters. YAML represents it as a whole word, or with a numeric
        escape or a line end in a double-quoted text, and so other files need not be parsed.
        """
        if name not in self._mentioning:
            text = re.compile(rf"(?<!\w){name}(?!\w)|\\[xuU\r\n]".encode())
            self._mentioning[name] = [
                table for table, content in self._contents.items() if text.search(content)
            ]
        return self._mentioning[name]

    def __getitem__(self, table: str) -> Contract:
        """Return the contract of a table; raise InvalidContract or KeyError if it has none."""
        found = self._check(table)
        if isinstance(found, InvalidContract):
            # A new exception each time, because a raised one accumulates tracebacks.
            raise InvalidContract(str(found), found.problems)
        return found

    def __contains__(self, table: object) -> bool:
        return table in self._contents and isinstance(self._check(str(table)), Contract)

    def __iter__(self) -> Iterator[str]:
        self._parse_all()
        return (table for table in self._contents if table in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def _invalid(self) -> dict[str, InvalidContract]:
        self._parse_all()
        found = {table: self._check(table) for table in self._contents}
        return {table: each for table, each in found.items() if isinstance(each, InvalidContract)}

    def _parse_all(self) -> None:
        for table in self._contents:
            self._parse(table)

    def _check(self, table: str) -> Contract | InvalidContract:
        if table not in self._checked:
            self._checked[table] = self._check_conflicts(table)
        return self._checked[table]

    def _check_conflicts(self, table: str) -> Contract | InvalidContract:
        found = self._parse(table)
        if isinstance(found, InvalidContract):
            return found
        others = [each for each in self._contents if each != table and self._conflicts(each, found)]
        if not others:
            return found
        return InvalidContract(
            one_line(
                f"{table}{SUFFIX}: {' and '.join(sorted([table, *others]))} define the "
                f"same PostgreSQL table {found.relation}: give each its own physicalName"
            )
        )

    def _conflicts(self, other: str, contract: Contract) -> bool:
        """Return whether another valid contract defines the same PostgreSQL table.

        A relation's name consists of a-z, 0-9 and _. YAML represents such a name as a whole word,
        or with escapes in a double-quoted text. A file without the word and without a backslash
        therefore cannot define the table, and is not parsed.
        """
        if other not in self._parsed:
            word = rf"(?<!\w){contract.relation}(?!\w)|\\".encode()
            if not re.search(word, self._contents[other]):
                return False
            # Reads the name without validating the file, because conflicts are rare.
            if relation(self._contents[other]) != contract.relation:
                return False
        found = self._parse(other)
        return isinstance(found, Contract) and found.relation == contract.relation

    def _parse(self, table: str) -> Contract | InvalidContract:
        """Parse the file of a table, which must exist, without checking for conflicts."""
        if table not in self._parsed:
            content = self._contents[table]
            try:
                self._parsed[table] = parse(table + SUFFIX, content)
            except InvalidContract as error:
                self._parsed[table] = InvalidContract(str(error), error.problems)
        return self._parsed[table]
