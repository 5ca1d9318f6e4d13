"""Models that others trained, looked into: what they hold of a graph or of facts, and how."""
