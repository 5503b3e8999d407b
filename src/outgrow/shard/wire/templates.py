"""A template as JSON."""

__all__ = ["decode_template", "encode_template"]

from typing import Any

import torch

from outgrow.errors import InputError
from outgrow.shard.instructions import INPUT, Template, walk
from outgrow.shard.wire.arguments import (
    check_op_name,
    decode_arguments,
    decode_meta,
    encode_arguments,
    encode_meta,
)
from outgrow.shard.wire.frame import ProtocolError


def encode_template(template: Template) -> list[Any]:
    """`[op, args, kwargs, inputs, outputs, mutates]`; a device among the kwargs is left out.

    Raises:
        InputError: an argument cannot be sent, or the op is none that workers run.
    """
    try:
        check_op_name(template.op)
    except ProtocolError as err:
        raise InputError(err.message, hint=err.hint) from err
    return [
        template.op,
        encode_arguments(template.args),
        [
            [name, encode_arguments(value)]
            for name, value in template.kwargs
            if not isinstance(value, torch.device)
        ],
        [encode_meta(meta) for meta in template.inputs],
        [encode_meta(meta) for meta in template.outputs],
        list(template.mutates),
    ]


def decode_template(value: Any) -> Template:
    """What `encode_template` was given.

    Raises:
        ProtocolError: it names an op that workers do not run, or does not fit itself.
    """
    op, args, kwargs, inputs, outputs, mutates = value
    template = Template(
        op=check_op_name(op),
        args=decode_arguments(_list(args)),
        kwargs=tuple((_name(name), decode_arguments(content)) for name, content in _list(kwargs)),
        inputs=tuple(decode_meta(meta) for meta in _list(inputs)),
        outputs=tuple(decode_meta(meta) for meta in _list(outputs)),
        mutates=tuple(_list(mutates)),
    )
    leaves = list(walk((template.args, tuple(content for _, content in template.kwargs))))
    if sum(leaf is INPUT for leaf in leaves) != len(template.inputs):
        raise ProtocolError(f"{op} describes {len(template.inputs)} inputs and takes another number")
    if not all(type(index) is int and 0 <= index < len(template.inputs) for index in template.mutates):
        raise ProtocolError(f"{op} writes into inputs that it does not have")
    if op.startswith("outgrow."):
        # Their arguments name other ops, which are looked up as the op itself is.
        for leaf in leaves:
            if isinstance(leaf, str) and leaf.count(".") >= 1:
                check_op_name(leaf)
    return template


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ProtocolError(f"{str(value)[:100]} is no list")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.isidentifier():
        raise ProtocolError(f"{value!r:.100} is no name of an argument")
    return value
