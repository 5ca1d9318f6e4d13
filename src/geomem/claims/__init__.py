"""The papers' statements as executable checks: what each says, how it is tested, what came out."""
