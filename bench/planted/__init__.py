"""Runs with one known fault each: a small GPT written twice, one line of the second one broken."""
