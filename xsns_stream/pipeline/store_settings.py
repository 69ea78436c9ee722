"""Build settings that a store records, and that later builds use as defaults when they add rows."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xsns_stream.corpora.embedded import DEFAULT_CORPUS, EMBEDDED, KNOWN_NAMES
from xsns_stream.corpora.recipes import RECIPES
from xsns_stream.errors import UsageError
from xsns_stream.io.escaping import visible
from xsns_stream.objectives.factory import OBJECTIVES
from xsns_stream.store import SubNetworkStore
from xsns_stream.types import Provenance

#: Options of a build that are passed on to :func:`xsns_stream.open_corpus`.
TEXT_OPTIONS: Final = (
    *("text_column", "language_column", "split", "treebank", "words", "config", "task"),
    *("labels_as_given", "label"),
)
#: Options that the provenance of a row records only in its field `inputs`, next to the text and the model.
OPTIONS_IN_INPUTS: Final = (
    *(*TEXT_OPTIONS, "label_column", "corpus_revision"),
    *("stack", "include", "exclude", "mask_rate", "mean_span"),
)
#: Largest number of values of `--corpus` that is recorded: every row has a copy of them.
MOST_SPECIFICATIONS: Final = 64
#: Options for loading a model by name; they do not apply to a model that is loaded already.
_OF_NAMED_MODEL: Final = ("revision", "dtype", "head_seed")
#: {option: options that depend on it}. A dependent option is taken from the store only if the option on which it
#: depends has the same value as in the store.
_FOLLOWERS: Final[Mapping[str, tuple[str, ...]]] = {
    "objective": ("mask_rate", "mean_span", "label_at", "scored_share"),
    "estimator": ("token_reduction", "labels", "batch_size"),
    "until_stable": ("check_every", "at_least"),
}
#: {option: options that cannot be combined with it}.
_EXCLUDES: Final[Mapping[str, tuple[str, ...]]] = {
    "parts": ("split_half", "until_stable"),
    "split_half": ("parts",),
    "until_stable": ("parts",),
    "check_every": ("parts",),
    "at_least": ("parts",),
}
#: {setting that the note always names if it is taken from the store: word for it in the note}.
_ALWAYS_NAMED: Final = {
    "model": "model",
    "texts": "corpus",
    "examples": "examples",
    "densities": "density",
    "seeds": "seed",
}
_DEFAULTS: Final[Mapping[str, Any]] = {
    "objective": None,
    "max_length": 128,
    "mask_rate": 0.15,
    "mean_span": 3.0,
    "label_at": "first",
    "scored_share": 1.0,
    "estimator": "per-example",
    "token_reduction": "sum",
    "labels": "data",
    "dtype": "float32",
    "precision": "float32",
    "head_seed": 0,
    "stack": "both",
    "revision": None,
}
_DESCRIBED: Final = re.compile(r"([\w-]+)\((.*)\)", re.DOTALL)
#: Pattern of a corpus name in provenance, such as `folder(ud, split=dev)`.
_CORPUS: Final = re.compile(r"(?P<kind>[\w:-]+)(?:\((?P<rest>.*)\))?", re.DOTALL)
#: Pattern of the default split in the name of a folder corpus.
_DEFAULT_SPLIT: Final = re.compile(r", split=train(?=[,)])")
#: Pattern of the option `words` in the name of a corpus; names in older stores lack it.
WORDS_IN_NAME: Final = re.compile(r"[(,] ?words=(running|given)(?=[,)])")


# ---------------------------------------------------------------------------------------------- recording


def inputs_record(texts: Any, model: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of where text and model are, for the field `inputs` of provenance.

    Args:
        texts: The text; see :func:`xsns_stream.build`.
        model: The model; see :func:`xsns_stream.build`.
        options: The options of the build that were given.

    Returns:
        A dictionary with up to three keys: `texts`, a list of corpus specifications, unless the text is in memory;
        `model`, if the model was given as a name or a folder; and `options`, if options that provenance records only
        here were given. Paths are absolute; :func:`relative_inputs` makes them relative to a store.
    """
    record: dict[str, Any] = {}
    if _is_specification(texts):
        parts = [texts] if isinstance(texts, str | os.PathLike) else texts
        if len(parts) <= MOST_SPECIFICATIONS and all(map(_is_recordable, parts)):
            record["texts"] = [_absolute(os.fspath(part)) for part in parts]
    if isinstance(model, str | os.PathLike) and _is_recordable(model):
        record["model"] = _absolute(os.fspath(model), is_model=True)
    if given := {name: _plain(options[name]) for name in OPTIONS_IN_INPUTS if options.get(name) not in (None, (), [])}:
        record["options"] = given
    return record


def recorded_corpus(name: str, store: SubNetworkStore) -> str:
    """Return the name of a corpus as a store records it.

    The name of a folder corpus contains the default split only while the folder has treebanks. Names that differ only
    in the default split are therefore treated as equal, because treebanks may be added to a folder or deleted from it.

    Args:
        name: The present name of the corpus.
        store: The store, which may not exist yet.
    """
    stored = str(store.experiment.get("corpus", "")) if store.exists else name
    if not (name.startswith("folder(") and stored.startswith("folder(")):
        return name
    return stored if _DEFAULT_SPLIT.sub("", stored) == _DEFAULT_SPLIT.sub("", name) else name


def _is_recordable(part: str | os.PathLike[str]) -> bool:
    """Return whether a path is valid UTF-8, so that it can be recorded."""
    try:
        f"{Path(part).absolute()}".encode()
    except UnicodeEncodeError:
        return False
    return True


def relative_inputs(inputs: Mapping[str, Any], store: SubNetworkStore) -> dict[str, Any]:
    """Return a record from :func:`inputs_record` with paths relative to the folder of a store.

    If the store is in an object store, entries with absolute paths are omitted instead.
    """
    record, root = dict(inputs), store.path
    if isinstance(root, Path):
        if "texts" in record:
            record["texts"] = [_relative(part, root) for part in record["texts"]]
        if "model" in record:
            record["model"] = _relative(record["model"], root)
        return record
    return {
        name: value
        for name, value in record.items()
        if name == "options" or not any(path_in(part) for part in ([value] if name == "model" else value))
    }


def _plain(value: Any) -> Any:
    """Return the value of an option as a JSON value; a mapping becomes a list of strings `NAME=VALUE`."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return [f"{name}={part}" for name, part in value.items()]
    if isinstance(value, Sequence):
        return [str(part) for part in value]
    return str(value)


def _split(part: str) -> tuple[str, str]:
    """Split a corpus specification into prefix and path, such as `sw=` and `sw.txt`, or `hub:` and `./folder`."""
    if part.startswith("hub:"):
        return "hub:", part.removeprefix("hub:")
    name, equals, path = part.partition("=")
    return (f"{name}=", path) if equals and "/" not in name else ("", part)


def _absolute(part: str, *, is_model: bool = False) -> str:
    """Return a specification of a corpus or a model with its path made absolute.

    If the specification has no path, or nothing exists at the path, it is returned unchanged.
    """
    prefix, path = ("", part) if is_model else _split(part)
    is_name = path == "mini" if is_model else not prefix and path in KNOWN_NAMES
    return part if is_name or not Path(path).exists() else f"{prefix}{Path(path).absolute()}"


def path_in(part: str) -> str:
    """Return the absolute path in a specification of a corpus or a model; empty if it has no absolute path."""
    path = part if part.startswith("/") else _split(part)[1]
    return path if Path(path).is_absolute() else ""


def _relative(part: str, root: Path) -> str:
    path = path_in(part)
    return f"{part.removesuffix(path)}{os.path.relpath(path, root.absolute())}" if path else part


def _located(part: str, root: Path | str, *, is_model: bool = False) -> str | None:
    """Return a recorded specification of a corpus or a model in the form for the command line.

    Args:
        part: The specification, whose path may be relative to the store.
        root: Folder or URL of the store.
        is_model: Whether the specification names a model.

    Returns:
        The specification; None if nothing exists at its path.
    """
    prefix, path = ("", part) if is_model else _split(part)
    if not path.startswith(".") or not isinstance(root, Path):
        return part
    found = os.path.normpath(root / path)
    shown = found if prefix or is_model or found not in KNOWN_NAMES else f"./{found}"
    return f"{prefix}{shown}" if Path(found).exists() else None


# ------------------------------------------------------------------------------------------------ reading


@dataclass(frozen=True)
class StoreSettings:
    """Settings of the rows of a store, under the names that :func:`xsns_stream.build` uses.

    Attributes:
        path: Path or URL of the store.
        options: {option: value}.
        texts: The text, as an argument for :func:`xsns_stream.open_corpus`; None if the text was moved or deleted, or
            if the store does not record its path.
        model: Name or folder of the model; None if the folder was moved or deleted, or if the store does not record it.
        names: The names of corpus and model in the provenance of the rows, under the keys `texts` and `model`.
    """

    path: str
    options: Mapping[str, Any]
    texts: tuple[str, ...] | None
    model: str | None
    names: Mapping[str, str]


def settings_of_store(store: SubNetworkStore) -> StoreSettings | None:
    """Return the settings of the rows of a store; None if there is no store, or it has no row.

    Raises:
        StoreError: The store is damaged.
    """
    records = store.records() if store.exists else ()
    if not records:
        return None
    shared = Provenance.from_json(store.experiment)
    recorded = [dict(text) for text in {repr(r.provenance.inputs): r.provenance.inputs for r in records}.values()]
    texts = model = None
    options: dict[str, Any] = {}
    for inputs in (*recorded, {}):
        texts = texts or _texts(inputs, shared.corpus, store.path)
        model = model or _model(inputs, shared.model, store.path)
        options = dict(inputs.get("options", {})) | options
    if words := WORDS_IN_NAME.search(shared.corpus):
        options.setdefault("words", words[1])
    described = {
        **_objective(shared.objective),
        **_estimator(shared.estimator),
        **_stopping(shared.stopping),
        **_number_format(shared.dtype),
        "examples": shared.examples_asked,
        "quantile": shared.quantile or None,
        "head_seed": int(shared.head.removeprefix("seed=")) if shared.head else None,
        "revision": records[0].provenance.revision or None,
        "seeds": store.seeds,
        "densities": store.densities,
        **_parts(store),
        **_kept_fisher(store),
    }
    known = {name: value for name, value in described.items() if value not in (None, 0)}
    return StoreSettings(
        str(store.path), known | options, texts, model, {"texts": shared.corpus, "model": shared.model}
    )


def _texts(inputs: Mapping[str, Any], name: str, root: Path | str) -> tuple[str, ...] | None:
    if "texts" in inputs:
        parts = [_located(part, root) for part in inputs["texts"]]
        return None if None in parts else tuple(part for part in parts if part is not None)
    return texts_by_name(name)


def texts_by_name(name: str) -> tuple[str, ...] | None:
    """Return the specification of a corpus that can be found by its recorded name; None if it cannot be found."""
    plain = WORDS_IN_NAME.sub(lambda match: match[0][0], name).replace(",)", ")").replace("()", "")
    parsed = _CORPUS.fullmatch(plain)
    if parsed is None:
        return None
    kind, rest = parsed["kind"], parsed["rest"] or ""
    if kind in EMBEDDED or (kind in RECIPES and not rest):
        return (kind,)
    if kind == "folder" and rest and Path(rest).is_dir():
        return (rest if rest not in KNOWN_NAMES else f"./{rest}",)
    return None


def _model(inputs: Mapping[str, Any], name: str, root: Path | str) -> str | None:
    if located := _located(inputs["model"], root, is_model=True) if "model" in inputs else None:
        return located
    return model_by_name(name)


def model_by_name(name: str) -> str | None:
    """Return the recorded name of a model if the model can be loaded by it; None if the name does not suffice."""
    return name if name == "mini" or "/" in name or (name and Path(name).is_dir()) else None


def _members(text: str) -> tuple[str, dict[str, str]]:
    """Split a description such as `masked-lm(rate=0.15,max_length=128)` into its name and {setting: value}."""
    match = _DESCRIBED.fullmatch(text)
    if match is None:
        return text, {}
    pairs = (part.partition("=") for part in match[2].split(","))
    return match[1], {name.strip(): value for name, _, value in pairs}


def _objective(text: str) -> dict[str, Any]:
    name, members = _members(text)
    numbers = {
        "mask_rate": ("rate", float),
        "mean_span": ("mean_span", float),
        "max_length": ("max_length", int),
        "scored_share": ("scored_share", float),
    }
    found = {option: kind(members[member]) for option, (member, kind) in numbers.items() if member in members}
    if name == "token-classification":
        found["label_at"] = members.get("label_at", "first")
    return ({"objective": name} if name in OBJECTIVES else {}) | found


def _estimator(text: str) -> dict[str, Any]:
    name, members = _members(text)
    found: dict[str, Any] = {"estimator": name} if name else {}
    found |= {option: members[option] for option in ("token_reduction", "labels") if option in members}
    return found | ({"batch_size": int(members["batch"])} if "batch" in members else {})


def _stopping(text: str) -> dict[str, Any]:
    members = _members(text)[1]
    if "jaccard" not in members:
        return {}
    counts = {name: int(members[name]) for name in ("check_every", "at_least") if name in members}
    return {"until_stable": float(members["jaccard"])} | counts


def _number_format(text: str) -> dict[str, Any]:
    dtype, _, autocast = text.partition("+")
    return {"dtype": dtype or None, "precision": autocast.removesuffix("-autocast") or "float32"}


def _parts(store: SubNetworkStore) -> dict[str, Any]:
    """Return the option of a build that gives new rows the same folds or halves as the rows of the store.

    It is {`parts`: K} if all rows have K folds, {`split_half`: True} if all have a split-half coefficient, else empty.
    """
    rows = set(store.keys())
    for count in reversed(store.fold_counts):
        if all(rows <= set(fold.keys()) for fold in store.folds(count)):
            return {"parts": count}
    halves = all("split_half" in record.provenance.reliability for record in store.records())
    return {"split_half": True} if halves else {}


def _kept_fisher(store: SubNetworkStore) -> dict[str, Any]:
    """Return {`keep_fisher`: encoding of the saved Fisher values}, or an empty dictionary if rows differ in this.

    The encoding is None if no row has saved Fisher values.
    """
    rows = {(key.language, key.seed) for key in (*store.keys(),)}
    records = [store.fisher_record(language, seed) for language, seed in rows]
    encodings = {None if record is None else record.encoding for record in records}
    return {"keep_fisher": encodings.pop()} if len(encodings) == 1 else {}


# ------------------------------------------------------------------------------------------------- taking


@dataclass(frozen=True)
class CompletedOptions:
    """Text, model and options of a build, completed by those of the store.

    Attributes:
        texts: The text.
        model: The model.
        options: All other options.
        taken: {name: value} of the options that were taken from the store, including `texts` and `model`.
        note: Sentence that names these options; empty if no option was taken from the store.
    """

    texts: Any
    model: Any
    options: dict[str, Any]
    taken: Mapping[str, Any]
    note: str = ""


def complete_from_store(store: SubNetworkStore, texts: Any, model: Any, options: Mapping[str, Any]) -> CompletedOptions:
    """Complete the text, the model and the options of a build by those of the store.

    If the store has no row, a missing text or model is replaced by the default.

    Args:
        store: The store to which the build adds rows.
        texts: The text that was given; None if none was given.
        model: The model that was given; None if none was given.
        options: The options that were given.

    Raises:
        UsageError: The text or the model was not given, and the store does not show where it is.
    """
    stored = settings_of_store(store)
    if stored is None:
        return CompletedOptions(
            (DEFAULT_CORPUS,) if texts is None else texts, "mini" if model is None else model, dict(options), {}
        )
    _require_located(stored, texts, model)
    taken: dict[str, Any] = {"model": stored.model} if model is None else {}
    taken |= {"texts": stored.texts} if texts is None else {}
    left_out = _not_applicable(stored, texts, model, options)
    for name, value in stored.options.items():
        if name not in options and name not in left_out:
            taken[name] = value
    return CompletedOptions(
        taken.get("texts", texts),
        taken.get("model", model),
        dict(options) | {name: value for name, value in taken.items() if name not in {"texts", "model"}},
        taken,
        _note(stored, taken),
    )


def _require_located(stored: StoreSettings, texts: Any, model: Any) -> None:
    missing = [
        (noun, option, visible(stored.names[name]))
        for name, given, found, noun, option in (
            ("texts", texts, stored.texts, "text", "--corpus"),
            ("model", model, stored.model, "model", "--model"),
        )
        if given is None and found is None
    ]
    if missing:
        what = " and ".join(f"the {noun} '{name}'" for noun, _, name in missing)
        where = "is not where it was, or the store does not record where it was"
        if len(missing) > 1:
            where = "are not where they were, or the store does not record where they were"
        options = " and ".join(option for _, option, _ in missing)
        raise UsageError(
            f"{what} of the store '{stored.path}' {where}.",
            f"give {options}, with the options that the first build had (such as --split or --text-column).",
        )


def _not_applicable(stored: StoreSettings, texts: Any, model: Any, options: Mapping[str, Any]) -> set[str]:
    """Return the options that must not be taken from the store, because they conflict with options that were given."""
    left_out: set[str] = set()
    for name, followers in _FOLLOWERS.items():
        if name in options and options[name] != stored.options.get(name):
            left_out.update(followers)
    for name, excluded in _EXCLUDES.items():
        if any(options.get(other) for other in excluded):
            left_out.add(name)
    if texts is not None and not _is_specification(texts):
        left_out.update((*TEXT_OPTIONS, "label_column", "corpus_revision"))
    if model is not None and not isinstance(model, str | os.PathLike):
        left_out.update(_OF_NAMED_MODEL)
    elif model is not None and os.fspath(model) != stored.names["model"]:
        left_out.add("revision")
    return left_out


def _is_specification(texts: Any) -> bool:
    parts = [texts] if isinstance(texts, str | os.PathLike) else texts
    return isinstance(parts, Sequence) and all(isinstance(part, str | os.PathLike) for part in parts)


def _note(stored: StoreSettings, taken: Mapping[str, Any]) -> str:
    named = {**_ALWAYS_NAMED, **{name: name.replace("_", " ") for name in taken if name not in _ALWAYS_NAMED}}
    parts = [
        f"{label} {_shown(taken[name])}"
        for name, label in named.items()
        if name in taken and (name in _ALWAYS_NAMED or _is_unusual(name, taken[name], stored))
    ]
    return f"these options are taken from the store '{stored.path}': {', '.join(parts)}." if parts else ""


def _is_unusual(name: str, value: Any, stored: StoreSettings) -> bool:
    if name == "objective":
        return value != "masked-lm" and stored.model != "mini"
    return name not in _DEFAULTS or value != _DEFAULTS[name]


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " and ".join(_shown(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else visible(str(value))
