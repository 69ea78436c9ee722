"""Groups of parameters whose overlap is counted separately: layers, kinds of module, or tensors."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from xsns_stream.errors import UsageError
from xsns_stream.types import ParameterLayout

if TYPE_CHECKING:
    from xsns_kernels.columns import Segment

By = Literal["layer", "module", "tensor"]

#: The ways of grouping parameters.
GROUPINGS: Final[tuple[str, ...]] = get_args(By)


@dataclass(frozen=True)
class Groups:
    """A partition of all parameters into groups.

    Attributes:
        by: The kind of group: `layer`, `module` or `tensor`.
        names: The names of the G groups.
        segments: Ranges of bits, each with the index of its group; together they contain every bit once.
        sizes: The number of parameters of each group.
    """

    by: str
    names: tuple[str, ...]
    segments: tuple[Segment, ...]
    sizes: tuple[int, ...]


def groups_of(layout: ParameterLayout, by: str) -> Groups:
    """Return the groups of the parameters of a layout.

    Args:
        layout: The layout.
        by: `layer`: each transformer block is a group. `tensor`: each tensor is a group. `module`: the modules with the
            same name in all blocks are a group, such as `attention.self.query`. The name of a module is the name of a
            tensor within its block, without a final `weight` or `bias`.

    Raises:
        UsageError: `by` has another value; or it is `layer` or `module`, and the layout has no layers.
    """
    from xsns_kernels.columns import Segment

    if by in ("layer", "module") and not layout.layers:
        raise UsageError(
            f"the parameters cannot be grouped by {by}: their layout has no layers.", "group them by tensor."
        )
    if by == "layer":
        spans = [(layer.name, layer.start, layer.stop) for layer in layout.layers]
    elif by in GROUPINGS:
        tensors = zip(layout.names, layout.offsets, layout.sizes, strict=True)
        spans = [(name, start, start + size) for name, start, size in tensors]
    else:
        raise UsageError(f"parameters cannot be grouped by '{by}'.", f"group them by {', '.join(GROUPINGS)}.")
    if by == "module":
        spans = [(_module_kind(layout, name, start), start, stop) for name, start, stop in spans]
    names = tuple(dict.fromkeys(name for name, *_ in spans))
    index = {name: i for i, name in enumerate(names)}
    sizes = [0] * len(names)
    for name, start, stop in spans:
        sizes[index[name]] += stop - start
    segments = tuple(Segment(start, stop, index[name]) for name, start, stop in spans)
    return Groups(by, names, segments, tuple(sizes))


def _module_kind(layout: ParameterLayout, tensor: str, start: int) -> str:
    """Return the kind of the module to which the tensor named `tensor` belongs, such as `attention.self.query`.

    `start` is the index of the first parameter of the tensor.
    """
    block = layout.layers[bisect_right([layer.start for layer in layout.layers], start) - 1].name
    within = tensor.removeprefix(f"{block}.")
    module, _, last = within.rpartition(".")
    return module if module and last in ("weight", "bias") else within
