"""Parts of the case that compares policies: tiny tasks, every sequence of decisions run once, replays."""
