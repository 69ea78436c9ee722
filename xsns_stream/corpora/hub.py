"""Corpora in the layout of the Hugging Face Hub: data sets on the Hub, or copies of them in a folder.

Rows are streamed: a sample of Wikipedia does not need all of Wikipedia on disk. A stream is shuffled through a buffer
of `BUFFER` rows. No code of a data set is run: `datasets` has no loading scripts from version 4 on, and no file is
unpickled.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from xsns_stream.corpora.columns import Columns, find_columns, note_text_column, text_column
from xsns_stream.corpora.corpus_names import corpus_name
from xsns_stream.corpora.examples import AddNote, Unit, collect, discard_note
from xsns_stream.corpora.file_names import UnreadFile
from xsns_stream.corpora.hub_streams import class_names, no_progress_bars, shuffled, split_names
from xsns_stream.corpora.labels import AUTO, label_union
from xsns_stream.corpora.readers import COUNTS_HINT, describe_counts
from xsns_stream.corpora.recipes import LANG, RECIPES, SPLIT_COLUMN, Recipe
from xsns_stream.corpora.running_text import RUNNING
from xsns_stream.corpora.text_checks import check_texts, without_missing
from xsns_stream.errors import CorpusError, LanguageError, UsageError, XsnsError
from xsns_stream.languages import normalise, pick
from xsns_stream.types import LanguageSample, TextExample

_LABELLED: Final = f"corpora with labels: {', '.join(name for name, recipe in RECIPES.items() if recipe.labelled)}."
_PROBE_SECONDS: Final = 10
#: Option of the builders of CSV tables, in which every value is text. It decides whether pandas reads texts such as NA
#: as missing values.
_NA_OPTION: Final = "keep_default_na"
#: Number of rows that are searched for a text, to determine whether the texts of a data set are split into words.
_FIRST_ROWS: Final = 100
# Pattern of a line such as `- config_name: no` in the head of a README.md. YAML 1.1 reads the words of `_NOT_TEXT` as
# true, false or null.
_CONFIG_NAME: Final = re.compile(r"\s*(?:-\s+)?config_name:\s*([A-Za-z~]+)\s*(?:#.*)?$")
_TRUE: Final = frozenset(("yes", "on", "true"))
_NOT_TEXT: Final = _TRUE | {"no", "off", "false", "null", "~"}
_OFFLINE_HINT: Final = (
    "download the data set elsewhere (`hf download --repo-type dataset {id} --local-dir DIR`) and use "
    "--corpus {again}, or set HF_HOME to a cache that contains it and HF_HUB_OFFLINE=1."
)


@dataclass(frozen=True)
class HubCorpus:
    """A data set in the Hub's layout.

    Attributes:
        recipe: The description of the data set. If it has no subsets, the names of the configurations are the
            languages; if it has no text column, a column with a usual name is read.
        root: A folder that contains a copy of the data set; None for the Hub.
        split: The split to read; None for that of the recipe.
        text_column: The only column of text; None for the column, or the pair of columns, of the recipe.
        config: Name of the configurations, with `{lang}` for the language; None for that of the recipe.
        revision: Branch, tag or commit on the Hub; None for the newest.
        labels: None for no labels, `auto` for the labels of the recipe or of a column with a usual name, or the name of
            a column.
        words: How unlabelled texts that are split into words are read: as `running` text, or with the words as `given`.
    """

    recipe: Recipe
    root: Path | None = None
    split: str | None = None
    text_column: str | None = None
    config: str | None = None
    revision: str | None = None
    labels: str | None = None
    words: str = RUNNING

    @property
    def local(self) -> bool:
        """Whether the data set can be read without a network."""
        return self.root is not None

    @cached_property
    def name(self) -> str:
        """Name of the data set with all settings, for provenance; without absolute paths."""
        known = self.recipe.name in RECIPES
        copy = self.root.name if self.root else None
        return corpus_name(
            self.recipe.name if known else "hub",
            *(() if known else (self._shown,)),
            split=self._split,
            text_column=self.text_column,
            config=self.config,
            revision=self.revision,
            labels=self._label,
            words=self.words if self._is_split else None,
            copy=copy if known else None,
        )

    def languages(self) -> tuple[str, ...]:
        """Return the sorted normalised codes of the languages.

        They are the languages of the recipe; for a local copy, only the languages of the recipe that the copy contains.
        If the recipe lists no languages, they are read from the names of the configurations.

        Raises:
            CorpusError: The recipe has no languages, and the data set cannot be read.
        """
        return tuple(sorted(self._subsets if self.recipe.subsets else self._named))

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        """Return the first `count` usable, distinct rows of the shuffled split; all rows if there are fewer.

        Args:
            language: Code of the language.
            count: |D|, at least 1.
            seed: Seed of the shuffle; a larger count with the same seed extends a smaller one.

        Raises:
            UsageError: `count` is below 1.
            LanguageError: The data set does not have the language.
            CorpusError: The data set cannot be read, or has no usable row.
        """
        if count < 1:
            raise UsageError(f"the number of examples must be at least 1, not {count}.")
        code = pick(language, self.languages(), self.name)
        notes: dict[str, None] = {}
        with closing(self._units(code, seed, notes.setdefault)) as units:
            examples, counts = collect(units, count, labelled=self.labels is not None, words=self.words)
        if not examples:
            raise CorpusError(f"{self.name} has no usable text in '{code}': {describe_counts(counts)}.", COUNTS_HINT)
        # Only the drawn examples are checked, because the rest of a stream is not read.
        for _ in check_texts(examples, f"{self._shown} ({self._config(self._subset_of(code))})", notes.setdefault):
            pass
        return LanguageSample(code, examples, self.name, counts, tuple(notes))

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the classes; empty if no labels are read, or if the labels are answers to questions.

        They are the names that the data set declares for its first language, because all configurations have the same
        declaration. Without a declaration, they are the sorted labels in all rows of all languages.

        Raises:
            CorpusError: The data set cannot be read.
        """
        return self._label_names

    @cached_property
    def _label_names(self) -> tuple[str, ...]:
        if self.labels is None:
            return ()
        codes = self.languages()
        subset = self._subset_of(next((code for code in codes if code in self._subsets), codes[0]))
        with self._readable():
            stream = self._stream(self._builder(subset))
            columns = self._columns(stream, f"{self._shown} ({self._config(subset)})")
            declared = class_names(stream, columns.label)
        return declared or label_union(codes, lambda code: self._units(code, 0))

    @cached_property
    def _is_split(self) -> bool:
        """Whether labels are not read and texts are split into words; the recipe or the first readable text decides.

        If no text is readable, it is False; no row is measured in that case.
        """
        if self.labels is not None:
            return False
        if self.recipe.text and self.text_column is None:
            return self.recipe.text == SPLIT_COLUMN
        try:
            codes = self.languages()
        except XsnsError:
            return False
        first = next((text for code in codes if (text := self._first_text(code)) is not None), "")
        return isinstance(first, tuple)

    def _first_text(self, code: str) -> str | tuple[str, ...] | None:
        """Return the first text of the language `code`; None if its first rows have no text or cannot be read."""
        try:
            with closing(self._units(code, None)) as units:
                rows = islice(units, _FIRST_ROWS)
                return next((unit.text for unit in rows if isinstance(unit, TextExample) and unit.text), None)
        except XsnsError:
            return None

    # ---------------------------------------------------------------------------------- languages

    @cached_property
    def _subsets(self) -> Mapping[str, str]:
        """Normalised code → name of the language in the data set, for the languages that can be read."""
        if not self.recipe.subsets:
            return {code: subsets[0] for code, subsets in self._named.items() if len(subsets) == 1}
        if self.root is None:
            return self.recipe.languages
        return {c: subset for c, subset in self.recipe.languages.items() if self._config(subset) in self._config_names}

    @cached_property
    def _named(self) -> Mapping[str, tuple[str, ...]]:
        """Normalised code → names of the language in the data set, which are parts of the names of configurations."""
        subsets: dict[str, tuple[str, ...]] = {}
        for subset in filter(None, map(self._subset, self._config_names)):
            with suppress(LanguageError):
                code = normalise(subset)
                subsets[code] = (*subsets.get(code, ()), subset)
        if not subsets:
            names = self._config_names
            listed = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
            raise CorpusError(
                f"no configuration of {self._shown} is named by a language: {listed}.",
                "mark the place of the language in the name: --config '20231101.{lang}'.",
            )
        return subsets

    def _subset_of(self, code: str) -> str:
        """Return the name of the language `code` in the data set.

        Raises:
            CorpusError: The names of several configurations mean this language.
        """
        if code in self._subsets:
            return self._subsets[code]
        both = " and ".join(self._named[code])
        hint = "choose one of them with --config NAME."
        raise CorpusError(f"the configurations {both} both mean the language '{code}'.", hint)

    @property
    def not_read(self) -> tuple[UnreadFile, ...]:
        """Configurations that are not read, if they are known without another request to the Hub."""
        if self.recipe.subsets and self.root is None:
            return ()
        used = {self._config(subset) for subset in self._subsets.values()}
        if not self.recipe.subsets:
            used |= {self._config(subset) for subsets in self._named.values() for subset in subsets}
        reason = (
            f"the recipe {self.recipe.name} does not use it" if self.recipe.subsets else "its name is not a language"
        )
        left = (name for name in self._config_names if name not in used and self._subset(name) is not None)
        return tuple(UnreadFile(name, reason, "configuration") for name in left)

    def _subset(self, config: str) -> str | None:
        """Return the part of a configuration's name that is the language; None if the name does not fit `--config`."""
        before, lang, after = self._template.partition(LANG)
        if not lang:
            return config if config == self._template else None
        fits = config.startswith(before) and config.endswith(after) and len(config) > len(before + after)
        return config[len(before) : len(config) - len(after)] if fits else None

    @cached_property
    def _config_names(self) -> tuple[str, ...]:
        with self._readable(), no_progress_bars():
            import datasets

            self._check_named_configs()
            return tuple(datasets.get_dataset_config_names(self._path, revision=self.revision))

    def _check_named_configs(self) -> None:
        """Raise an error if README.md names a configuration by a word that YAML does not read as text (`no` is False).

        Raises:
            CorpusError: README.md contains such a name.
        """
        card = self.root / "README.md" if self.root else None
        if card is None or not card.is_file():
            return
        for line in card.read_text("utf-8", "replace").splitlines():
            match = _CONFIG_NAME.match(line)
            if match and match[1].lower() in _NOT_TEXT:
                raise CorpusError(
                    f"README.md of {self._shown} names a configuration {match[1]} without quotation marks, which YAML "
                    f"reads as {'true' if match[1].lower() in _TRUE else 'false or nothing'}.",
                    f'write it as `config_name: "{match[1]}"`.',
                )

    # --------------------------------------------------------------------------------------- rows

    def split_names(self, language: str) -> tuple[str, ...]:
        """Return the names of the splits of a language in the data set.

        Raises:
            LanguageError: The data set does not have the language.
            CorpusError: The data set cannot be read.
        """
        subset = self._subset_of(pick(language, self.languages(), self.name))
        with self._readable(), no_progress_bars():
            return split_names(self._path, self._config(subset), self.revision)

    def in_order(self, language: str) -> Generator[Unit, None, None]:
        """Yield all rows of the split of a language as units, in the order of the data set.

        Raises:
            LanguageError: The data set does not have the language.
            CorpusError: The data set cannot be read.
        """
        yield from self._units(pick(language, self.languages(), self.name), None)

    def _units(self, code: str, seed: int | None, add_note: AddNote = discard_note) -> Generator[Unit, None, None]:
        """Yield the rows of a language as units, shuffled with `seed`; in the order of the data set if it is None."""
        subset = self._subset_of(code)
        where = f"{self._shown} ({self._config(subset)})"
        with self._readable():
            builder = self._builder(subset)
            stream = self._stream(builder)
            columns = self._columns(stream, where, add_note)
            classes = class_names(stream, columns.label)
            leave_out = self.recipe.leave_out
            # Rows are filtered before they are shuffled. The buffer then contains only rows of this language.
            stream = self._rows_of(stream, subset)
            # Without the other columns the buffer is small, and images or audio are never decoded.
            stream = stream.select_columns(list(dict.fromkeys((*columns.names, *leave_out))))
            taken = (
                columns.unit(row, where, classes)
                for row in (stream if seed is None else shuffled(stream, seed))
                if not any(row[column] for column in leave_out)
            )
            has_only_text = hasattr(builder.config, _NA_OPTION)
            yield from without_missing(taken, where, add_note) if has_only_text else taken

    def _rows_of(self, stream: Any, subset: str) -> Any:
        """Return the rows of one language from a stream.

        Args:
            stream: The rows of a configuration, which may contain several languages.
            subset: The name of the language in the data set.
        """
        prefix = self.recipe.prefix_column
        return stream.filter(lambda row: str(row[prefix]).startswith(f"{subset}-")) if prefix else stream

    def _columns(self, stream: Any, where: str, add_note: AddNote = discard_note) -> Columns:
        """Return the columns to read from a stream of rows, and check that they exist. `where` names the data set."""
        names = tuple(stream.column_names or next(iter(stream), {}))
        recipe, text, label = self.recipe, self.text_column, self._label
        if label is not None and (label == AUTO or not recipe.text):
            return find_columns(names, text, label, where, add_note)
        own = recipe.labelled if label is not None and recipe.labelled else Columns(recipe.text, recipe.pair)
        column = text_column(names, text or own.text or None, where)
        if not text and not own.text:
            note_text_column(column, names, where, add_note)
        sentence = recipe.sentence if text is None and recipe.sentence in names else ""
        columns = Columns(column, own.pair if text is None else "", label or "", sentence)
        for name in filter(None, (*columns.names, recipe.prefix_column, *recipe.leave_out)):
            text_column(names, name, where)
        return columns

    def _builder(self, subset: str) -> Any:
        """Return the `DatasetBuilder` for the configuration of the language that the data set calls `subset`."""
        import datasets

        with no_progress_bars():
            builder = datasets.load_dataset_builder(self._path, self._config(subset), revision=self.revision)
        if hasattr(builder.config, _NA_OPTION):
            # In tables of text, None, NA and null are texts, as they are in local files.
            setattr(builder.config, _NA_OPTION, False)
        return builder

    def _stream(self, builder: Any) -> Any:
        """Return a stream of the rows of the split, in the order of the data set."""
        with no_progress_bars():
            return builder.as_streaming_dataset(split=self._split)

    @property
    def _label(self) -> str | None:
        """Name of the column of the labels, `auto` if it must be looked for, or None if no labels are read."""
        own = self.recipe.labelled
        return own.label if self.labels == AUTO and own else self.labels

    @property
    def _split(self) -> str:
        return self.split or self.recipe.split

    @property
    def _template(self) -> str:
        return self.config or self.recipe.config

    def _config(self, subset: str) -> str:
        return self._template.replace(LANG, subset)

    @property
    def _path(self) -> str:
        # `datasets` would read a relative path of one or two parts as a name on the Hub.
        return str(self.root.resolve()) if self.root else self.recipe.hub_id

    @property
    def _shown(self) -> str:
        return self.root.name if self.root else self.recipe.hub_id

    # ------------------------------------------------------------------------------------- errors

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn errors of `datasets` and of the network into a `CorpusError` of one sentence."""
        if not self.local:
            self._need_hub()
        try:
            yield
        except XsnsError:
            raise
        except ConnectionError as error:
            raise self._unreachable() from error
        except Exception as error:  # HTTP clients and file formats raise errors of many classes
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            hint = "check the split, the configuration and the revision."
            if not self.local:
                hint += f" See https://huggingface.co/datasets/{self.recipe.hub_id}"
            if "gated" in reason:
                hint = "accept its terms on its page on the Hub, then log in with `hf auth login`."
            raise CorpusError(f"{self._shown} cannot be read: {reason}.", hint) from error

    def _need_hub(self) -> None:
        from huggingface_hub import constants

        # In offline mode, `datasets` reads its cache, and fails immediately if the cache does not contain the data set.
        if not constants.HF_HUB_OFFLINE and not _reachable(constants.ENDPOINT):
            raise self._unreachable()

    def _unreachable(self) -> CorpusError:
        again = f"{self.recipe.name}=DIR" if self.recipe.name in RECIPES else "hub:./DIR"
        return CorpusError(
            f"the Hugging Face Hub cannot be reached for {self.recipe.hub_id}.",
            _OFFLINE_HINT.format(id=self.recipe.hub_id, again=again),
        )


def open_hub(
    recipe: Recipe,
    root: Path | None,
    *,
    text_column: str | None = None,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    labels: str | None = None,
    words: str | None = None,
) -> HubCorpus:
    """Open a data set in the Hub's layout with the options of `--corpus`.

    Args:
        recipe: The description of the data set.
        root: A folder that contains a copy of the data set; None for the Hub.
        text_column: See :class:`HubCorpus`.
        split: See :class:`HubCorpus`.
        config: See :class:`HubCorpus`.
        revision: See :class:`HubCorpus`.
        labels: See :class:`HubCorpus`.
        words: `running` (the default) or `given`.

    Raises:
        UsageError: An option cannot be used with this data set.
    """
    if root is not None and revision is not None:
        raise UsageError("--revision cannot be used with a local copy.", "leave --revision out.")
    if config is not None and LANG in recipe.config and recipe.subsets and LANG not in config:
        raise UsageError(
            f"--config '{config}' would select the same text for every language.",
            f"write {LANG} in place of the language.",
        )
    if labels == AUTO and recipe.name in RECIPES and recipe.labelled is None:
        raise UsageError(f"the corpus {recipe.name} has no labels.", _LABELLED)
    return HubCorpus(recipe, root, split, text_column, config, revision, labels, words or RUNNING)


def refuse_options(options: Mapping[str, str | None], *names: str, kind: str) -> None:
    """Raise an error if an option was given that has no effect for this kind of corpus.

    Args:
        options: {name: value}; the value is None if the option was not given.
        names: Names of the options without effect; by default all options.
        kind: The kind of corpus, for the message.

    Raises:
        UsageError: One of the options was given.
    """
    for name in names or options:
        if options[name] is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} cannot be used with {kind}.", f"omit {option}.")


@lru_cache(maxsize=4)
def _reachable(endpoint: str) -> bool:
    """Return whether the Hub answers a request. The result is cached: a process sends at most one request.

    The client of the Hub would retry for minutes, with a warning each time.
    """
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=_PROBE_SECONDS)
    except Exception:  # the class of the errors depends on the version of the client
        return False
    return True
