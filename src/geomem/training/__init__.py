"""Training: fleets of runs along one `run` axis. Importing this package imports no torch."""
