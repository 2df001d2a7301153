"""Readers and fetchers of outside data."""
