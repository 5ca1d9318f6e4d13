"""Memories written down in closed form: recall, chains of relations, bounds; NumPy and SciPy only."""
