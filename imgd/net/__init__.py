"""Listeners and TLS."""
