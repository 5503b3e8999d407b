"""The examiner of `outgrow.shard`: torch's databases of ops, modules, optimizers and random programs."""
