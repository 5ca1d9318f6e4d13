"""Tables of facts: built in, read from files, generated."""
