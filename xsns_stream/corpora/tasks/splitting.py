"""Splits into train, dev and test for data that come without them.

An example's place depends on nothing but itself: on its identifier where it has one, so that translations of one
example land in one split, else on its text. Were it otherwise, a model trained on a source would be tested on
translations of what it has learnt. Examples that share a text, as hypotheses share a premise and questions a passage,
stay together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from xsns_stream.types import TextExample

#: Of a hundred examples: for testing, for deciding when to stop; the others are for training.
TEST_SHARE: Final = 20
DEV_SHARE: Final = 10
# `german-4980-val`: the language, the number, the split.
_NUMBERED: Final = re.compile(r"[a-z]+-(\d+)-(?:train|val|dev|test)")
# XNLI's development set has so many pairs in each language, numbered through all languages, and three to a premise.
_XNLI_PAIRS: Final = 2490
_XNLI_HYPOTHESES: Final = 3
#: A text or a name, and which of both it is.
_Node: TypeAlias = tuple[str, str]


class Item(NamedTuple):
    """An example and what its translations are called too (:func:`shared_name`); empty where it has no name."""

    identifier: str
    example: TextExample


def shared_name(identifier: str, task: str) -> str:
    """Return what an example's identifier has in common with those of its translations.

    Args:
        identifier: As the file has it. Most data sets call translations the same; of PAWS-X's `german-10-val` and
            XNLI's `german-4980-val` the number says which example it is.
        task: Whose data they are.
    """
    match = _NUMBERED.fullmatch(identifier)
    if match is None:
        return identifier
    number = int(match[1])
    return str(number % _XNLI_PAIRS // _XNLI_HYPOTHESES if task == "nli" else number)


def cut(items: Sequence[Item]) -> dict[str, tuple[TextExample, ...]]:
    """Return {split: examples}, about 70, 10 and 20 of a hundred, each in the order of the file."""
    found: dict[str, list[TextExample]] = {"train": [], "dev": [], "test": []}
    for item, key in zip(items, _keys(items), strict=True):
        place = _percentile("split", key)
        split = "test" if place < TEST_SHARE else "dev" if place < TEST_SHARE + DEV_SHARE else "train"
        found[split].append(item.example)
    return {split: tuple(examples) for split, examples in found.items()}


def hold_out(items: Sequence[Item]) -> tuple[tuple[TextExample, ...], tuple[TextExample, ...]]:
    """Return the training examples, and a tenth that is held out to decide when to stop; both in their order.

    Where the tenth, or the rest, would be empty, the last group is held out; of one group nothing is.
    """
    keys = _keys(items)
    held = {key for key in keys if _percentile("dev", key) < DEV_SHARE}
    if not held or held == set(keys):
        held = {max(keys)} if len(set(keys)) > 1 else set()
    train = tuple(item.example for item, key in zip(items, keys, strict=True) if key not in held)
    return train, tuple(item.example for item, key in zip(items, keys, strict=True) if key in held)


def _keys(items: Sequence[Item]) -> list[str]:
    """Return what decides an example's place, the same for all that share a text or an identifier with it.

    Sharing is followed through: of three examples of which the first two share a text and the last two an identifier,
    all are one group.
    """
    shared = [_shared_text(item.example) for item in items]
    joined = _Groups()
    for item, text in zip(items, shared, strict=True):
        if item.identifier:
            joined.join(("text", text), ("name", item.identifier))
    groups = [joined.group(("text", text)) for text in shared]
    names: dict[_Node, str] = {}
    for item, group in zip(items, groups, strict=True):
        if item.identifier:
            # The smallest name of a group: translations of the group have it too, as far as they have its members.
            names[group] = min(names.get(group, item.identifier), item.identifier, key=lambda name: (len(name), name))
    return [names.get(group, text) for group, text in zip(groups, shared, strict=True)]


class _Groups:
    """Texts and names that belong together (disjoint sets)."""

    def __init__(self) -> None:
        self._above: dict[_Node, _Node] = {}

    def group(self, node: _Node) -> _Node:
        """Return the node that stands for a node's group."""
        while (above := self._above.setdefault(node, node)) != node:
            # Halving the path keeps it short, however long the chain of what was joined.
            self._above[node] = self._above[above]
            node = above
        return node

    def join(self, one: _Node, other: _Node) -> None:
        """Make one group of two nodes' groups."""
        self._above[self.group(one)] = self.group(other)


def _shared_text(example: TextExample) -> str:
    """Return the text that other examples may repeat: the passage of a question, else the first text."""
    if example.label is not None and not isinstance(example.label, str | tuple) and example.pair is not None:
        return example.pair
    return example.text if isinstance(example.text, str) else "\x1f".join(example.text)


def _percentile(purpose: str, key: str) -> int:
    digest = hashlib.sha256(f"{purpose}\x1e{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100
