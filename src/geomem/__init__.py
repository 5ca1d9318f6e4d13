"""geomem: a laboratory for geometric memory in sequence models."""
