"""Facts written down as a memory: constructed, asked, edited, forgotten."""
