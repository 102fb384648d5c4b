"""The form of a file, found from a sample of it."""

from cli.sniffing.form import Sniffed, sniff
from cli.sniffing.sample import Sample, sample_of

__all__ = ["Sample", "Sniffed", "sample_of", "sniff"]
