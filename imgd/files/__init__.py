"""Served files: the one way from a root and names to an open file."""
