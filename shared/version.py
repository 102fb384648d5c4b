"""The version of tm-pipeline, defined here and nowhere else.

setuptools reads it for the package (pyproject.toml) and Terraform for the tag `Version`
(terraform/main.tf), both without running this file: keep the line a plain string. How to change
it: docs/release.md.
"""

VERSION = "0.1.0"
"""By Semantic Versioning (semver.org): MAJOR.MINOR.PATCH."""
