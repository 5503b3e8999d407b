"""Where self-attention can be inserted, and whether it may look ahead there."""

__all__ = ["attention_sites", "decide_attention"]

from dataclasses import replace

from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.errors import SiteRefused
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.flow.attending import Attention, attended_places
from outgrow.evolve.flow.kinds import tried_by_kind
from outgrow.evolve.flow.probing import Probe
from outgrow.evolve.flow.recording import Flow, record_flow
from outgrow.evolve.flow.trial import try_insertion
from outgrow.evolve.sites.lookup import look_up
from outgrow.evolve.sites.site import Site


def attention_sites(model: nn.Module, inputs: ExampleInputs) -> list[Site]:
    """The places behind which self-attention can be inserted; one of each kind was tried.

    These are the blocks of stacks, the model's own children, and activations behind convolutions; by its name
    any other module will do that gives `[batch, seq, channels]` or `[batch, channels, height, width]`.
    """
    search = _Search(unwrapped(model), inputs)
    prominent = [one for one in search.places.values() if _is_prominent(search.model, one.name)]
    good = tried_by_kind(
        search.model, prominent, lambda one: one.name, lambda one: not search.why_not(one, None)
    )
    return [search.site(one) for one in good]


def decide_attention(
    model: nn.Module,
    name: str,
    inputs: ExampleInputs,
    *,
    num_heads: int | None,
    is_causal: bool | None,
    norm: str | None,
    seed: int,
) -> Attention:
    """The insertion at a site, tried.

    Raises:
        InputError: the number of heads does not divide the channels.
        SiteNotFound: nothing of this name is there.
        SiteRefused: it is there, and no attention can come behind it.
    """
    search = _Search(model, inputs)
    if name not in search.places:
        if any(call.name == name for call in search.flow.calls):
            raise _refused(
                name, "it does not give [batch, seq, channels] or [batch, channels, height, width]"
            )
        look_up([search.site(one) for one in search.places.values()], name, "insert_attention")
    place = search.places[name]
    heads = _heads(place.channels) if num_heads is None else num_heads
    if place.channels % heads:
        raise InputError(
            f"num_heads={heads} does not divide the {place.channels} channels of {name!r}",
            hint=f"num_heads={_heads(place.channels)} does",
        )
    place = replace(place, num_heads=heads, head_dim=place.channels // heads, seed=seed)
    if norm is not None:
        place = replace(place, norm=norm)
    why = search.why_not(place, is_causal)
    if why:
        raise _refused(name, why)
    return search.complete(place, is_causal)


class _Search:
    """One model with one call, and the places that may do."""

    def __init__(self, model: nn.Module, inputs: ExampleInputs) -> None:
        self.model = model
        self.inputs = inputs
        self.flow: Flow = record_flow(model, inputs)
        norms = [type(module).__name__ for module in model.modules()]
        kind = "rms" if any("RMSNorm" in name for name in norms) else "layer"
        self.places = {
            one.name: replace(
                one,
                norm=kind if one.dims == 3 else "none",
                num_heads=(heads := _heads(one.channels)),
                head_dim=one.channels // heads,
            )
            for one in attended_places(model, self.flow)
        }
        self._probe: Probe | None = None

    @property
    def probe(self) -> Probe:
        """Made when it is first needed: it runs the model several times."""
        if self._probe is None:
            self._probe = Probe(self.model, self.inputs)
        return self._probe

    def site(self, place: Attention) -> Site:
        """As a site."""
        return Site(
            name=place.name,
            kind="insert_attention",
            width=place.channels,
            step=place.channels,
            methods=("residual",),
            inputs=self.inputs,
        )

    def complete(self, place: Attention, is_causal: bool | None) -> Attention:
        """With what the model says of looking ahead, and of caches."""
        if is_causal is None:
            is_causal = bool(self.probe.looks_back_only(place.name))
        return replace(place, is_causal=is_causal, is_cached=is_causal and bool(self.probe.cached))

    def why_not(self, place: Attention, is_causal: bool | None) -> str:
        """Why attention cannot come behind it; empty where it can."""
        if not self.probe.is_batch_first(place.name):
            return "the first dim of what it gives is not the batch"
        looks_back = self.probe.looks_back_only(place.name)
        if is_causal is None and looks_back is None:
            return "nobody can say whether it may look ahead; is_causal=True or False says it"
        if is_causal is False and looks_back:
            return "the model looks back only, and is_causal=False would let it look ahead"
        whole = self.complete(place, is_causal)
        if whole.is_cached and place.name not in self.probe.cached:
            return "the model decodes with a cache, and this module would not see that one is used"
        return try_insertion(self.model, self.inputs, self.flow, whole).refused


def _is_prominent(model: nn.Module, name: str) -> bool:
    parent = model.get_submodule(name.rpartition(".")[0])
    module = model.get_submodule(name)
    if isinstance(parent, nn.ModuleList | nn.Sequential) or parent is model:
        return True
    return isinstance(module, nn.ReLU | nn.GELU | nn.SiLU) and not any(True for _ in module.parameters())


def _heads(channels: int) -> int:
    """About one head for each 64 channels, as many as divide them; four where there are fewer."""
    wanted = max(channels // 64, min(4, channels // 4), 1)
    return next(heads for heads in range(wanted, 0, -1) if channels % heads == 0)


def _refused(name: str, why: str) -> SiteRefused:
    return SiteRefused(
        f"no attention can come behind {name!r}: {why}",
        hint="evolve.sites(model, example_inputs, kind='insert_attention') lists the places where it can",
    )
