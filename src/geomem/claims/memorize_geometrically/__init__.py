"""Claims of "Deep sequence models tend to memorize geometrically; it is unclear why", arXiv 2510.26745."""
