"""Models: an architecture and its parameters, every parameter with a leading `run` axis.

Importing this package imports no torch: the command line reads the configurations without it.
"""
