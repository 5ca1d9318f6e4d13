"""What kind of memory a run or an embedding holds."""
