"""Graphs: built in, read from files, generated."""
