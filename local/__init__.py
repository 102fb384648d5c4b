"""The laptop cloud: an AWS emulator, PostgreSQL and this project's Terraform module."""
