"""Vectors from outside: files of every common kind, their rows matched to the nodes of a graph.

Whatever a file holds is treated as written by a stranger: no pickle, sizes checked before anything is read.
"""
