"""Drafts of contracts, made from sample files."""
