"""What `import outgrow.shard as gt` gives beyond torch's own calls on the device `workers`."""

__all__: list[str] = []
