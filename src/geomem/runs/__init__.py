"""Fleets on disk: planned, trained, read again."""
