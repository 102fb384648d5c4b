"""Times the reader on files that are made to be slow, against a plain file of the same size.

    python -m benchmarks.hostile [--bytes 4000000]

Processor time, in one run and one process. It is the same a byte whatever the file's size.
"""

import argparse
import time

from shared.landing import CHUNK_BYTES
from shared.lines import Refusal
from shared.rows import read_table

PLAIN = "ned,2019-09-27 00:00:00 UTC,1.5,bizdev\n"
OPEN = 'a",",b\n'

# What is repeated under the header.
UNITS = {
    "plain": PLAIN,
    "quoted": '"ned","2019-09-27 00:00:00 UTC","1.5","bizdev"\n',
    "quotes that stay open": OPEN,
    "inches": 'pipe 3",",x\n',
    "quotes that stay open until a value is too long": OPEN * 1000 + 'a",",' + "y\n" * 70_000,
    "a quote a line": '"\n',
    "99 quotes a line": '"' * 99 + "\n",
    "empty values in quotes": '"","","",""\n',
    "delimiters": "," * 999 + "\n",
    "empty values": ",,,\n",
    "carriage returns": "a\rb,c\n",
    "NULs": "\0,\0,\0,\0\n",
    "NULs behind a quote": '"\0,\0\n',
    "blank lines": "\n",
    "long lines": "x" * 999_999 + "\n",
    "one letter a line": "x\n",
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bytes", type=int, default=4_000_000)
    size = parser.parse_args().bytes
    ratios = []
    for name, unit in UNITS.items():
        body = "a,b,c,d\n" + unit * (size // len(unit))
        seconds = _seconds(body.encode())
        ratios.append(seconds / len(body))
        ratio = ratios[-1] / ratios[0]
        print(f"{name:48} {seconds:6.2f} s, {ratio:5.1f} × plain a byte")


def _seconds(body: bytes) -> float:
    begin = time.process_time()
    chunks = (body[i : i + CHUNK_BYTES] for i in range(0, len(body), CHUNK_BYTES))
    table = read_table(chunks, "utf-8", ",")
    assert not isinstance(table, Refusal)
    for chunk in table.chunks:
        assert not isinstance(chunk, Refusal)
        chunk()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
