"""Who decides what to change."""
