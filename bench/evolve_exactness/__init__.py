"""Random sequences of changes on many models, each held against what the model gave before."""
