"""Graphs told in sentences: templates, names of several tokens, tokenizers, texts and questions."""
