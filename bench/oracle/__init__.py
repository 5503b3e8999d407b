"""The examiner of `outgrow.shard`: torch's databases of ops, modules and optimizers, through the whole client."""
