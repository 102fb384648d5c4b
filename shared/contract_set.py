"""The contracts of a stack: one file `<table>.odcs.yaml` for each table.

To read a contract takes about 12 ms, and a function needs one of maybe a hundred. So a set is read
lazily: asking for one table reads its file and no other, unless another one may be in its way.
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
    """The valid contracts by table; `invalid` says what is wrong with the others.

    To ask for an invalid one raises that; the invalid ones are neither counted nor listed.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Take the contents of the files by name; what is not called `*.odcs.yaml` is left out."""
        self._contents = {
            name.removesuffix(SUFFIX): files[name]
            for name in sorted(files)
            if name.endswith(SUFFIX)
        }
        self._read: dict[str, Contract | InvalidContract] = {}
        """What each file says by itself, of those that are read."""
        self._judged: dict[str, Contract | InvalidContract] = {}
        """What there is of each table beside the others, of those that were asked for."""

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Take the contract files of a folder.

        Raises:
            InvalidContract: there is none.
        """
        files, unreadable = {}, {}
        for path in folder.glob(f"*{SUFFIX}"):
            try:
                files[path.name] = read(path)
            except InvalidContract as error:
                files[path.name] = b""
                unreadable[path.name.removesuffix(SUFFIX)] = error
        if not files:
            raise InvalidContract(
                one_line(f"no contract (*{SUFFIX}) in {folder}; write one to receive a table")
            )
        contracts = cls(files)
        contracts._read |= unreadable
        return contracts

    @classmethod
    def unpacked(cls, content: bytes) -> Self:
        """Take the contracts out of the one JSON object in which Terraform deploys them.

        Args:
            content: `{"<file name>": "<text>", …}`, in UTF-8.

        Raises:
            InvalidContract: it is something else, or holds no contract file.
        """
        try:
            texts = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InvalidContract(
                one_line(f"the deployed contracts are no JSON: {error}; run terraform apply again")
            ) from error
        if not isinstance(texts, dict) or not all(isinstance(each, str) for each in texts.values()):
            raise InvalidContract(
                "the deployed contracts are no JSON object of file names with their texts; "
                "run terraform apply again"
            )
        # Half of a character, which JSON can hold and UTF-8 cannot, makes one contract invalid.
        contracts = cls(
            {name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()}
        )
        if not contracts._contents:
            raise InvalidContract(
                f"no contract (*{SUFFIX}) is deployed; write one into the folder `contracts_dir`, "
                "and run terraform apply"
            )
        return contracts

    @property
    def tables(self) -> list[str]:
        """The tables that have a file, valid or not, sorted."""
        return sorted(self._contents)

    @property
    def invalid(self) -> Mapping[str, str]:
        """What is wrong with each invalid contract, by table, or by the name of another file."""
        return {table: str(error) for table, error in self._invalid.items()}

    @property
    def problems(self) -> list[str]:
        """Every problem of every file, one text each, which begins with the file's name."""
        return [problem for error in self._invalid.values() for problem in error.problems]

    def all_valid(self) -> Self:
        """Return the contracts, for what may not go on without one of them.

        Raises:
            InvalidContract: one of them is invalid.
        """
        if invalid := self.invalid:
            raise InvalidContract(one_line("; ".join(invalid.values())), self.problems)
        return self

    def __getitem__(self, table: str) -> Contract:
        """Return the contract of a table.

        Raises:
            InvalidContract: there is a file, and it is invalid.
            KeyError: there is none.
        """
        found = self._beside_others(table)
        if isinstance(found, InvalidContract):
            # Anew each time, for an exception keeps every traceback it is raised with.
            raise InvalidContract(str(found), found.problems)
        return found

    def __contains__(self, table: object) -> bool:
        return table in self._contents and isinstance(self._beside_others(str(table)), Contract)

    def __iter__(self) -> Iterator[str]:
        self._read_all()
        return (table for table in self._contents if table in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def _invalid(self) -> dict[str, InvalidContract]:
        self._read_all()
        found = {table: self._beside_others(table) for table in self._contents}
        return {table: each for table, each in found.items() if isinstance(each, InvalidContract)}

    def _read_all(self) -> None:
        for table in self._contents:
            self._alone(table)

    def _beside_others(self, table: str) -> Contract | InvalidContract:
        if table not in self._judged:
            self._judged[table] = self._judge(table)
        return self._judged[table]

    def _judge(self, table: str) -> Contract | InvalidContract:
        found = self._alone(table)
        if isinstance(found, InvalidContract):
            return found
        others = [each for each in self._contents if each != table and self._asks(each, found)]
        if not others:
            return found
        # Nobody can say which of them is meant.
        return InvalidContract(
            one_line(
                f"{table}{SUFFIX}: {' and '.join(sorted([table, *others]))} ask for the table "
                f"{found.relation}: give each a physicalName of its own"
            )
        )

    def _asks(self, other: str, contract: Contract) -> bool:
        """Tell whether another valid contract asks for the same table of PostgreSQL.

        A relation's name consists of a-z, 0-9 and _. YAML writes such a name out, as a word, or
        with escapes in a double-quoted text: nothing else joins or changes these characters. So a
        file that holds neither the word nor a backslash cannot ask for it and need not be read.
        """
        if other not in self._read:
            word = rf"(?<!\w){contract.relation}(?!\w)|\\".encode()
            if not re.search(word, self._contents[other]):
                return False
            # Without all the checks: only a valid contract is in the way, but few ask for the same.
            if relation(self._contents[other]) != contract.relation:
                return False
        found = self._alone(other)
        return isinstance(found, Contract) and found.relation == contract.relation

    def _alone(self, table: str) -> Contract | InvalidContract:
        """Return what a table's file says by itself.

        Raises:
            KeyError: there is no file.
        """
        if table not in self._read:
            content = self._contents[table]
            try:
                self._read[table] = parse(table + SUFFIX, content)
            except InvalidContract as error:
                self._read[table] = InvalidContract(str(error), error.problems)
        return self._read[table]
