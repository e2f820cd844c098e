"""Analyses: tables in, table and figure out, one file each."""
