"""Claims of "Geometric Factual Recall in Transformers", arXiv 2605.12426."""
