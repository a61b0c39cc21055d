"""The tensors that make a module what it is: parameters, and buffers that are kept."""

from __future__ import annotations

from torch import Tensor, nn


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters (tied ones once) and persistent buffers by name.

    Modules of ours have no such buffers; a user's encoder may (batch norm's statistics).
    """
    kept = module.state_dict().keys()
    buffers = {name: b for name, b in module.named_buffers() if name in kept}
    return {**dict(module.named_parameters()), **buffers}


def put(module: nn.Module, name: str, value: Tensor) -> None:
    """Give the tensor `name` a new value; one that is in memory stays the same object."""
    owner_name, _, leaf = name.rpartition(".")
    owner = module.get_submodule(owner_name)
    current = getattr(owner, leaf)
    if not current.is_meta:
        current.data = value
    elif isinstance(current, nn.Parameter):
        setattr(owner, leaf, nn.Parameter(value))
    else:
        setattr(owner, leaf, value)
