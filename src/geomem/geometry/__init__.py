"""Geometry of embeddings on a graph: spectra, similarity, alignment; NumPy and SciPy only."""
