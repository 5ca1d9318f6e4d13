"""The architectures as tensor programs; these files import torch."""
