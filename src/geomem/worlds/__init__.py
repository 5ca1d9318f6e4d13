"""Worlds: what there is to memorise, and the tasks that ask for it (numpy, scipy, networkx; no torch)."""
