"""Measurements of outgrow against physical limits and against its peers; never installed."""
