"""Weights taken out of runs and into them: folders of transformers, plain folders, files of the release."""
