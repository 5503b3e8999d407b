"""Not run: mypy checks that a program which uses each room sees these types (`make check`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_type

import torch
from torch import Tensor, nn

import outgrow.shard as gt
from outgrow import capture, compare, evolve, store, stream
from outgrow.compare import report

net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
batch = torch.zeros(1, 4)

# stream: a model keeps its own class; that of a checkpoint is known when it is opened
config = stream.Config(storage_path="weights", budget="4MB", backend=stream.BackendType.AUTO)
assert_type(stream.create_default_config("weights"), stream.Config)
assert_type(stream.offload(net, config), nn.Sequential)
tokens = stream.load("folder", budget="4GB").generate(batch, max_new_tokens=8)
assert_type(stream.statistics(net), stream.Statistics)
assert_type(stream.health(net), stream.Health)
assert_type(stream.estimate_model_memory(net), int)
with stream.closing(stream.offload(net, config)) as streamed:
    assert_type(streamed, nn.Sequential)
stream.set_budget(net, "8MB")
stream.restore(net)

# shard
gt.connect(workers=2)
created: Tensor = gt.zeros(2, 3)
created = gt.from_numpy(batch.numpy()).matmul(created)
with gt.no_grad():
    hidden = net.to("workers")(batch.to("workers"))
text: str = str(gt.explain(net))
gt.shutdown()

# evolve
sites: Sequence[evolve.Site] = evolve.sites(net, batch)
edit = evolve.widen(net, "0", by=8, example_inputs=batch)
assert_type(edit, evolve.Edit)
assert_type(edit.promise, str)
optimizer = torch.optim.AdamW(net.parameters())
with evolve.transaction(net, optimizer=optimizer) as change:
    assert_type(change, evolve.Transaction)
    evolve.prune(net, "0", amount=0.25, optimizer=optimizer, example_inputs=batch)
    change.rollback()
evolve.save(net, Path("net.safetensors"), example_inputs=batch)

# capture and compare
with capture.record(net, "run_a") as recorder:
    assert_type(recorder, capture.Recorder)
    net(batch)
with compare.compare(expected="run_a", actual="run_b") as comparison:
    assert_type(comparison, compare.Comparison)
    assert_type(report.sentence(comparison), str)
    if comparison.first_divergence is not None:
        assert_type(comparison.first_divergence.pair.expected_name, str)
compare.assert_same_run("run_a", "run_b")

# store
checkpoint = store.open_checkpoint(Path("folder"))
assert_type(checkpoint, store.Checkpoint)
assert_type(checkpoint.tensors["weight"], store.TensorMeta)
