"""Find a site by its name among those that are there."""

__all__ = ["look_up"]

from collections.abc import Sequence

from outgrow.errors import nearest_names
from outgrow.evolve.errors import SiteNotFound
from outgrow.evolve.sites.site import Site


def look_up(known: Sequence[Site], name: str, kind: str) -> Site:
    """The site of `known` with this name; else the only one that goes by it, too.

    Raises:
        SiteNotFound: there is none; the nearest names are listed.
    """
    exact = [one for one in known if one.name == name]
    also = [one for one in known if name in one.also]
    if exact:
        return exact[0]
    if len(also) == 1:
        return also[0]
    if also:
        raise SiteNotFound(
            f"{name!r} belongs to several sites", hint=f"name one of {', '.join(one.name for one in also)}"
        )
    near = nearest_names(name, dict.fromkeys(other for one in known for other in (one.name, *one.also)))
    if not known:
        hint = f"this model has no site to {kind}"
    elif near:
        hint = f"nearest: {', '.join(near)}"
    else:
        hint = "evolve.sites(model, example_inputs) lists them all"
    raise SiteNotFound(f"no site to {kind} is called {name!r}", hint=hint)
