"""Names of the implementations of each kernel, and the rule that chooses one."""

from __future__ import annotations

# The reference is first; "auto" means the last one. The choice does not depend on the machine.
_IMPLEMENTATIONS: dict[str, tuple[str, ...]] = {
    "pack_bits": ("numpy", "numba"),
    "unpack_bits": ("numpy",),
    "popcount": ("numpy", "bitarray", "numba"),
    "kth_largest": ("numpy", "numba"),
    "threshold_bits": ("numpy", "numba"),
    "top_bits": ("numpy", "numba"),
    "top_bits_many": ("numpy", "numba"),
    "pattern_histogram": ("numpy", "numba"),
    "intersection_counts": ("numpy", "bitarray", "numba"),
    "cross_intersection_counts": ("numpy", "bitarray", "numba"),
    "accumulate_intersections": ("numpy", "bitarray", "numba"),
    "accumulate_cross_intersections": ("numpy", "bitarray", "numba"),
    "stream_intersections": ("numpy", "numba"),
    "stream_cross_intersections": ("numpy", "numba"),
}


def implementations(name: str) -> tuple[str, ...]:
    """Return the names of the implementations of a kernel, from the reference to the fastest.

    Args:
        name: A public function of this package, such as ``"intersection_counts"``.

    Returns:
        Names that the function accepts as `impl`. ``"auto"`` means the last one.

    Raises:
        ValueError: No kernel has this name.

    >>> implementations("intersection_counts")
    ('numpy', 'bitarray', 'numba')
    """
    try:
        return _IMPLEMENTATIONS[name]
    except KeyError:
        choices = ", ".join(_IMPLEMENTATIONS)
        raise ValueError(f"no kernel is named {name!r}; choose one of: {choices}") from None


def resolve(name: str, impl: str) -> str:
    """Return the name of the implementation that `impl` selects; an explicit name is never replaced by another one.

    Raises:
        ValueError: `impl` is neither ``"auto"`` nor an implementation of this kernel.

    >>> resolve("kth_largest", "auto")
    'numba'
    """
    known = implementations(name)
    if impl == "auto":
        return known[-1]
    if impl not in known:
        choices = ", ".join(("auto", *known))
        raise ValueError(f"{name} has no implementation {impl!r}; choose one of: {choices}")
    return impl
