"""What held facts are good for: runs that recall a graph are put to several uses, each with a score."""
