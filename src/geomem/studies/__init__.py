"""Studies of what the papers leave open: a question, a rule stated first, claims, tables and figures each."""
