"""The structural changes, one a file."""
