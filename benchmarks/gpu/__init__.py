"""What geomem does on one CUDA card: `python -m benchmarks.gpu` measures it and writes it down here."""
