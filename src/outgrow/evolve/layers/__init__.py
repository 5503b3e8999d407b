"""The modules that changes put into models."""
