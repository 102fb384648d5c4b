"""The form of a file, found from a sample of it."""

from cli.sniffing.form import Sniffed, keys_of, sniff
from cli.sniffing.sample import Sample, sample_of

__all__ = ["Sample", "Sniffed", "keys_of", "sample_of", "sniff"]
