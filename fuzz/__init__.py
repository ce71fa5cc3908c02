"""Harnesses for atheris: the parsers that meet bytes from anyone.

``python -m fuzz [SECONDS]`` runs them all, so long each (30); ``python -m fuzz.head 3600`` one.
"""
