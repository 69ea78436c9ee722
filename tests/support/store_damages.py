"""Damages to a store, also deliberate ones: wrong types, sizes and depths, links, pipes and devices.

`special()` lists the damages to files, `sample(store, seed, count)` draws from all edits of documents. Each damage is
applied to a copy of a valid store.
"""

import json
import math
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

DOCUMENTS = (
    "zarr.json",
    "subnetworks/zarr.json",
    "commits/0.15/0/sw/zarr.json",
    "fisher/zarr.json",
    "fisher_commits/0/sw/zarr.json",
    "parts/zarr.json",
    "parts/2/1/zarr.json",
    "parts/2/1/subnetworks/zarr.json",
    "parts/2/1/commits/0.15/0/sw/zarr.json",
    "density/zarr.json",
    "OVERLAPS/zarr.json",
)
OBJECTS = (
    "subnetworks/c/0/0/0/0",
    "parts/2/1/subnetworks/c/0/0/0/0",
    "fisher/c/0/0/0",
    "OVERLAPS/c/0/0",
)
VALUES = (
    math.inf,
    math.nan,
    -1,
    0,
    12340.0,
    10**15,
    10**30,
    True,
    None,
    "abc",
    "",
    "0x1p999999999",
    "-0x1p1",
    "../../x",
    [],
    [1],
    {},
    {"a": [1]},
    [[1, 2]] * 3,
)
_MANY = ", ".join(f'"key {number}": [{number}]' for number in range(450_000))
FILES = ("pipe", "device", "loop", "folder", "empty", "half", "garbage", "sparse", "missing", "dangling")


@dataclass(frozen=True)
class Damage:
    """One change to one file of a store.

    Attributes:
        file: Path within the store. `OVERLAPS` stands for the folder of stored counts.
        what: Name of the change: one of `FILES`, or a method of `_Edits`.
        path: Path of the changed field, if the file is a document.
        value: New value of the field.
    """

    file: str
    what: str
    path: tuple[object, ...] = ()
    value: object = field(default=None, compare=False)

    def __str__(self):
        path = ".".join(map(str, self.path))
        return f"{self.file}: {self.what} {path} {str(self.value)[:40]}"

    @property
    def removes(self):
        """Whether the change only removes a row: a row without a commit record does not count."""
        return "commits/" in self.file and self.what in ("missing", "folder")

    def apply(self, store):
        (counts,) = [path.parent for path in store.glob("overlaps/*/*/*/zarr.json")]
        file = Path(str(store / self.file).replace(str(store / "OVERLAPS"), str(counts)))
        if self.what in FILES:
            _replace(file, self.what)
            return
        document = json.loads(file.read_text())
        text = getattr(_Edits, self.what)(document, self)
        file.write_text(json.dumps(document) if text is None else text)


def _replace(file, kind):
    data = file.read_bytes()
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "loop":
        file.symlink_to(file)
    elif kind == "dangling":
        file.symlink_to(file.with_name("nothing"))
    elif kind == "folder":
        file.mkdir()
    elif kind == "sparse":
        file.write_bytes(data)
        os.truncate(file, 2**40)
    elif kind != "missing":
        file.write_bytes({"empty": b"", "half": data[: len(data) // 2], "garbage": b"\xff" * 100}[kind])


class _Edits:
    """Edits of a parsed document. A method that returns a text replaces the whole file by the text."""

    @staticmethod
    def put(document, damage):
        *above, last = damage.path
        for step in above:
            document = document[step]
        document[last] = damage.value

    @staticmethod
    def drop(document, damage):
        *above, last = damage.path
        for step in above:
            document = document[step]
        del document[last]

    @staticmethod
    def deep(document, damage):
        document["attributes"]["extra"] = 0
        nest = "[" * 10_000 + "]" * 10_000
        return json.dumps(document).replace('"extra": 0', f'"extra": {nest}')

    @staticmethod
    def many(document, damage):
        """Add ten megabytes of attributes of another program, which the format allows."""
        document["attributes"]["extra"] = 0
        return json.dumps(document).replace('"extra": 0', f'"extra": {{{_MANY}}}')

    @staticmethod
    def huge(document, damage):
        document["attributes"]["extra"] = "x" * (17 * 2**20)

    @staticmethod
    def codec(document, damage):
        document["codecs"].append({"name": "crc32c"})

    @staticmethod
    def inner_codec(document, damage):
        document["codecs"][0]["configuration"]["codecs"] += [{"name": "zstd", "configuration": {}}, {"name": "crc32c"}]

    @staticmethod
    def shard_in_shard(document, damage):
        document["codecs"][0]["configuration"]["codecs"] = json.loads(json.dumps(document["codecs"]))

    @staticmethod
    def layers(document, damage):
        layers = document["attributes"]["layout"]["layers"]
        layers[:] = damage.value(layers)


def _paths(value, above=()):
    """Yield the path of every field of a document, and of the first two members of every list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for name, member in inner:
        yield (*above, name)
        yield from _paths(member, (*above, name))


def special():
    """Return the damages to whole files, and the damages to codecs and layers."""
    damages = [Damage(file, kind) for file in (*DOCUMENTS, *OBJECTS) for kind in FILES]
    damages += [Damage(file, kind) for file in DOCUMENTS for kind in ("deep", "many", "huge")]
    arrays = ("subnetworks/zarr.json", "fisher/zarr.json", "parts/2/1/subnetworks/zarr.json")
    damages += [Damage(file, kind) for file in arrays for kind in ("codec", "inner_codec", "shard_in_shard")]
    changes = (
        lambda layers: [],
        lambda layers: layers[1:],
        lambda layers: layers[::-1],
        lambda layers: [["x", -5, 10], *layers[1:]],
        lambda layers: [*layers[:-1], [layers[-1][0], layers[-1][1], 10**12]],
        lambda layers: [[[1], *layer[1:]] for layer in layers],
    )
    return damages + [Damage("zarr.json", "layers", value=change) for change in changes]


def edits(store):
    """Return every edit of a field of every document, in order."""
    (counts,) = [path.parent for path in store.glob("overlaps/*/*/*/zarr.json")]
    damages = []
    for name in DOCUMENTS:
        document = json.loads(Path(str(store / name).replace(str(store / "OVERLAPS"), str(counts))).read_text())
        for path in _paths(document):
            damages.append(Damage(name, "drop", path))
            damages += [Damage(name, "put", path, value) for value in VALUES]
    return damages


def sample(store, seed, count):
    """Return `count` edits, drawn at random. The same seed gives the same edits."""
    return random.Random(seed).sample(edits(store), count)
