"""The network of the learned policy: layers are the tokens, the run is one more, attention joins them."""

__all__ = ["AttentionPolicyNetwork"]

import torch
from torch import Tensor, nn

from outgrow.errors import InputError


class AttentionPolicyNetwork(nn.Module):
    """Scores of actions, and a value.

    In the *flat* form (`layer_dim=0`) a state is one row of figures and the actions are numbered: each
    figure is a token. In the form over *layers* a state has one row of figures for the run, which is a token,
    and one for each layer, which are the others; `num_actions` scores come from the token of the run (doing
    nothing is one), and `layer_actions` more from each layer. Nothing says in which order the layers come but
    their own figures: exchanging two rows exchanges their scores.

    A score is what an action is worth from here on: the value, plus the action's advantage over the mean of
    those that are allowed. What the mask forbids scores `-inf`.
    """

    def __init__(
        self,
        state_dim: int = 8,
        num_actions: int = 6,
        *,
        layer_dim: int = 0,
        layer_actions: int = 0,
        width: int = 32,
        heads: int = 2,
        blocks: int = 2,
    ) -> None:
        super().__init__()
        sizes = (state_dim, num_actions, width, heads, blocks)
        if min(sizes) < 1 or bool(layer_dim) != bool(layer_actions) or width % heads:
            raise InputError(
                f"a network for {state_dim} figures and {num_actions} actions, {layer_dim} figures and "
                f"{layer_actions} actions of a layer, {blocks} blocks of width {width} with {heads} heads",
                hint="sizes begin at 1, heads divide width, layer_dim and layer_actions are given together",
            )
        self.state_dim, self.num_actions = state_dim, num_actions
        self.layer_dim, self.layer_actions = layer_dim, layer_actions
        self.heads = heads
        self.run_token = nn.Linear(state_dim, width)
        if layer_dim:
            self.layer_token: nn.Linear | None = nn.Linear(layer_dim, width)
        else:
            self.layer_token = None
            self.figure_scale = nn.Parameter(torch.randn(state_dim, width) * 0.5)
            self.figure_shift = nn.Parameter(torch.randn(state_dim, width) * 0.5)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.value = nn.Linear(width, 1)
        self.run_scores = nn.Linear(width, num_actions)
        self.layer_scores = nn.Linear(width, layer_actions) if layer_dim else None

    def forward(
        self,
        state: Tensor,
        layers: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        present: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Score the actions.

        Shapes: `state` `[state_dim]` or `[batch, state_dim]`; `layers` `[batch, layers, layer_dim]`, or
        without the batch as `state` is; `mask` bool `[batch, actions]`, true where an action is allowed;
        `present` bool `[batch, layers]`, false for rows that only fill up. Returns scores
        `[batch, num_actions + layers * layer_actions]` and values `[batch]`, without the batch where
        `state` has none.

        Raises:
            InputError: a shape does not fit, or a mask allows nothing.
        """
        single = state.dim() == 1
        if single:
            state = state.unsqueeze(0)
            layers, mask, present = (
                None if one is None else one.unsqueeze(0) for one in (layers, mask, present)
            )
        self._check(state, layers)
        run = self.run_token(state).unsqueeze(1)
        if self.layer_token is None:
            tokens = state.unsqueeze(-1) * self.figure_scale + self.figure_shift
        else:
            assert layers is not None
            tokens = self.layer_token(layers)
        hidden = torch.cat([run, tokens], dim=1)
        attended = None
        if present is not None:
            attended = torch.cat([present.new_ones(len(present), 1), present], dim=1)[:, None, None, :]
        for block in self.blocks:
            hidden = block(hidden, attended)
        hidden = self.norm(hidden)
        value = self.value(hidden[:, 0]).squeeze(-1)
        scores = self.run_scores(hidden[:, 0])
        if self.layer_scores is not None:
            scores = torch.cat([scores, self.layer_scores(hidden[:, 1:]).flatten(1)], dim=1)
        if mask is None:
            mask = torch.ones_like(scores, dtype=torch.bool)
        if mask.shape != scores.shape or not bool(mask.any(1).all()):
            raise InputError(
                f"a mask {list(mask.shape)} for scores {list(scores.shape)}",
                hint="a bool for every action, and at least one action of each state allowed",
            )
        allowed = mask.to(scores.dtype)
        mean = (scores * allowed).sum(1, keepdim=True) / allowed.sum(1, keepdim=True)
        scores = (value.unsqueeze(1) + scores - mean).masked_fill(~mask, -torch.inf)
        return (scores[0], value[0]) if single else (scores, value)

    def _check(self, state: Tensor, layers: Tensor | None) -> None:
        if state.dim() != 2 or state.shape[-1] != self.state_dim:
            raise InputError(
                f"a state of shape {list(state.shape)}", hint=f"[batch, {self.state_dim}], or one row of it"
            )
        if (layers is None) != (self.layer_token is None):
            raise InputError(
                "layers were given to a flat network" if layers is not None else "no layers were given",
                hint="a network that is made with layer_dim reads layers, and only such a one does",
            )
        if layers is not None and (
            layers.dim() != 3 or layers.shape[0] != state.shape[0] or layers.shape[2] != self.layer_dim
        ):
            raise InputError(
                f"layers of shape {list(layers.shape)} for a state of shape {list(state.shape)}",
                hint=f"[batch, layers, {self.layer_dim}]",
            )


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.before_feedforward = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, hidden: Tensor, attended: Tensor | None) -> Tensor:
        batch, tokens, width = hidden.shape
        qkv = self.qkv(self.before_attention(hidden)).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=attended)
        hidden = hidden + self.out(mixed.transpose(1, 2).flatten(2))
        change: Tensor = self.down(nn.functional.gelu(self.up(self.before_feedforward(hidden))))
        return hidden + change
