"""Eager tensors over many workers, from one program: `import outgrow.shard as gt`."""
