"""PyTorch for models that outgrow their machine.

Rooms are imported on their own: `import outgrow.stream`. Importing `outgrow` loads neither torch nor click.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
