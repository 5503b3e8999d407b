import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.errors import InputError
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork

RUN, LAYERS = torch.zeros(3).double(), torch.zeros(2, 4).double()


def over_layers(seed=0):
    torch.manual_seed(seed)
    return AttentionPolicyNetwork(3, 1, layer_dim=4, layer_actions=2, width=8, blocks=2).double()


def test_flat_form_gives_scores_and_a_value():
    network = AttentionPolicyNetwork(state_dim=8, num_actions=6)
    scores, value = network(torch.randn(8))
    assert (scores.shape, value.shape) == ((6,), ())
    scores, value = network(torch.randn(5, 8))
    assert (scores.shape, value.shape) == ((5, 6), (5,))


def test_flat_form_reads_every_figure():
    torch.manual_seed(0)
    network = AttentionPolicyNetwork(8, 6)
    state = torch.randn(8, requires_grad=True)
    network(state)[0].square().sum().backward()
    assert bool((state.grad.abs() > 0).all())


def test_every_parameter_is_used():
    for network, inputs in (
        (AttentionPolicyNetwork(8, 6).double(), (torch.randn(2, 8).double(),)),
        (over_layers(), (torch.randn(2, 3).double(), torch.randn(2, 5, 4).double())),
    ):
        scores, value = network(*inputs)
        (scores.square().sum() + value.sum()).backward()
        unused = [name for name, one in network.named_parameters() if one.grad is None]
        assert unused == []


@given(order=st.permutations(range(5)))
def test_exchanging_layers_exchanges_their_scores(order):
    network = over_layers()
    run, layers = torch.randn(3).double(), torch.randn(5, 4).double()
    scores, value = network(run, layers)
    moved, same = network(run, layers[list(order)])
    torch.testing.assert_close(moved[0], scores[0])
    torch.testing.assert_close(moved[1:].view(5, 2), scores[1:].view(5, 2)[list(order)])
    torch.testing.assert_close(same, value)


@given(count=st.integers(1, 6), more=st.integers(1, 4))
def test_rows_that_fill_up_change_nothing(count, more):
    network = over_layers()
    run, layers = torch.randn(1, 3).double(), torch.randn(1, count, 4).double()
    mask = torch.ones(1, 1 + 2 * count, dtype=torch.bool)
    scores, value = network(run, layers, mask=mask)
    filled = torch.cat([layers, torch.full((1, more, 4), 7.0).double()], dim=1)
    present = torch.tensor([[True] * count + [False] * more])
    wide = torch.cat([mask, torch.zeros(1, 2 * more, dtype=torch.bool)], dim=1)
    also, same = network(run, filled, mask=wide, present=present)
    torch.testing.assert_close(also[:, : 1 + 2 * count], scores)
    torch.testing.assert_close(same, value)
    assert bool((also[:, 1 + 2 * count :] == -torch.inf).all())


@given(allowed=st.lists(st.booleans(), min_size=9, max_size=9).filter(any), seed=st.integers(0, 50))
def test_what_is_masked_is_never_chosen(allowed, seed):
    torch.manual_seed(seed)
    network = over_layers(seed)
    mask = torch.tensor(allowed)
    scores, _ = network(torch.randn(3).double() * 9, torch.randn(4, 4).double() * 9, mask=mask)
    assert bool(mask[scores.argmax()])
    assert bool((scores[~mask] == -torch.inf).all())
    assert bool(torch.isfinite(scores[mask]).all())
    assert bool((torch.softmax(scores, 0)[~mask] == 0).all())


def test_scores_of_allowed_actions_lie_around_the_value():
    network = over_layers()
    mask = torch.tensor([True, False, True, True, False])
    scores, value = network(torch.randn(3).double(), torch.randn(2, 4).double(), mask=mask)
    torch.testing.assert_close(scores[mask].mean(), value)


def test_a_masked_action_has_no_say_in_the_others():
    network = over_layers()
    run, layers = torch.randn(3).double(), torch.randn(2, 4).double()
    mask = torch.tensor([True, False, True, True, True])
    scores, _ = network(run, layers, mask=mask)
    with torch.no_grad():
        network.layer_scores.bias[0] += 5
    again, _ = network(run, layers, mask=torch.tensor([True, False, True, False, True]))
    network.layer_scores.bias.data[0] -= 5
    before, _ = network(run, layers, mask=torch.tensor([True, False, True, False, True]))
    torch.testing.assert_close(again[[0, 2, 4]], before[[0, 2, 4]])
    assert scores.shape == again.shape


@pytest.mark.parametrize(
    "call",
    [
        lambda network: network(torch.zeros(2).double(), torch.zeros(2, 4).double()),
        lambda network: network(torch.zeros(3).double()),
        lambda network: network(torch.zeros(3).double(), torch.zeros(2, 5).double()),
        lambda network: network(torch.zeros(2, 3).double(), torch.zeros(3, 2, 4).double()),
        lambda network: network(
            torch.zeros(3).double(), torch.zeros(2, 4).double(), mask=torch.ones(4).bool()
        ),
        lambda network: network(
            torch.zeros(3).double(), torch.zeros(2, 4).double(), mask=torch.zeros(5).bool()
        ),
        lambda _: AttentionPolicyNetwork(8, 6)(torch.zeros(8), torch.zeros(1, 4)),
        lambda _: AttentionPolicyNetwork(8, 0),
        lambda _: AttentionPolicyNetwork(8, 6, layer_dim=3),
        lambda _: AttentionPolicyNetwork(8, 6, width=30, heads=4),
    ],
    ids=["run", "no-layers", "width", "batch", "mask", "nothing-allowed", "flat", "sizes", "half", "heads"],
)
def test_what_does_not_fit_is_refused(call):
    with pytest.raises(InputError):
        call(over_layers())
