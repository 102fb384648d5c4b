"""The version of tm-pipeline, defined only here.

setuptools (pyproject.toml) and Terraform (the tag `Version`, terraform/main.tf) read it without
running this file, so the value must be a plain string. How to change it: docs/release.md.
"""

VERSION = "0.1.0"
"""Semantic version (semver.org): MAJOR.MINOR.PATCH."""
