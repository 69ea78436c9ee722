"""Data sets in the Hub's layout that have one configuration for several languages, and a column of languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from xsns_stream.corpora.file_names import CODES, UnreadFile
from xsns_stream.corpora.hub import HubCorpus, open_hub, refuse_options
from xsns_stream.corpora.language_tables import TableLanguages
from xsns_stream.corpora.recipes import LANG, RECIPES, Recipe
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.io.tables import column_list

_DEFAULT_CONFIG = "default"


@dataclass(frozen=True)
class HubTable(HubCorpus):
    """A data set whose rows are in several languages.

    The column of languages is read once to find the languages, before any text is read.

    Attributes:
        language_column: The column that contains the language of each row.
    """

    language_column: str = ""

    @cached_property
    def name(self) -> str:
        """Name of the data set with all settings, for provenance; without absolute paths."""
        return f"{super().name[:-1]}, language_column={self.language_column})"

    def languages(self) -> tuple[str, ...]:
        """Return the sorted normalised codes of the languages in the column.

        Raises:
            CorpusError: The data set cannot be read, or the column contains no language.
        """
        return tuple(sorted(self._values))

    @property
    def not_read(self) -> tuple[UnreadFile, ...]:
        """Values of the column that are not languages, with the reasons."""
        return tuple(
            UnreadFile(value, f"{reason} ({number:,} row{'s' if number > 1 else ''})", "value")
            for value, (reason, number) in self._found[1].items()
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on several values that are read as one language; may be empty."""
        return TableLanguages(written=self._found[0]).notes()

    @cached_property
    def _values(self) -> Mapping[str, frozenset[str]]:
        """Normalised code → the values in the column of languages that mean this language."""
        codes, _ = self._found
        return {code: frozenset(values) for code, values in codes.items()}

    @cached_property
    def _found(self) -> tuple[dict[str, list[str]], dict[str, tuple[str, int]]]:
        """{code: values in the column of languages}, and {value that is not a language: (reason, number of rows)}."""
        codes: dict[str, list[str]] = {}
        others: dict[str, tuple[str, int]] = {}
        for value, number in self._counts().items():
            try:
                codes.setdefault(CODES.label_of(value)[0], []).append(value)
            except LanguageError as error:
                others[value or "(empty)"] = (error.message.rstrip(".") if value else "no language", number)
        if not codes:
            listed = ", ".join(map(repr, list(others)[:5])) or "nothing"
            raise CorpusError(
                f"the column '{self.language_column}' of {self._shown} contains no language: {listed}.",
                "write codes such as sw or zh-Hant in it, or English names of languages.",
            )
        return codes, others

    def _counts(self) -> Counter[str]:
        """Return {value in the column of languages: number of rows}; the key of missing values is empty."""
        with self._readable():
            stream = self._stream(self._builder(""))
            names = tuple(stream.column_names or next(iter(stream), {}))
            if self.language_column not in names:
                raise CorpusError(
                    f"{self._shown} has no column '{self.language_column}'.", f"its columns are {column_list(names)}."
                )
            column = stream.select_columns([self.language_column])
            return Counter(_text(row[self.language_column]) for row in column)

    # ------------------------------------------------------------------------------------- one configuration

    @cached_property
    def _subsets(self) -> Mapping[str, str]:
        return {code: code for code in self._values}

    def _config(self, subset: str) -> str:
        return self._only_config

    @cached_property
    def _only_config(self) -> str:
        """Name of the configuration that contains the rows of all languages."""
        if self.config is not None:
            return self.config
        names = self._config_names
        if len(names) > 1 and _DEFAULT_CONFIG not in names:
            listed = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
            raise CorpusError(
                f"{self._shown} has several configurations: {listed}.", "choose one of them with --config NAME."
            )
        return names[0] if len(names) == 1 else _DEFAULT_CONFIG

    def _rows_of(self, stream: Any, subset: str) -> Any:
        values = self._values[subset]
        return stream.filter(lambda row: _text(row[self.language_column]) in values)


def open_data_set(
    recipe: Recipe, root: Path | None, *, language_column: str | None = None, **options: str | None
) -> HubCorpus:
    """Open a data set in the Hub's layout, with a configuration for each language or with a column of languages.

    Args:
        recipe: The description of the data set.
        root: A folder that contains a copy of the data set; None for the Hub.
        language_column: See :class:`HubTable`; None for a configuration for each language.
        **options: The other options of :func:`~xsns_stream.corpora.hub.open_hub`.

    Raises:
        UsageError: An option cannot be used with this data set, or both kinds of languages are given.
    """
    corpus = open_hub(recipe, root, **options)
    if language_column is None:
        return corpus
    if recipe.name in RECIPES:
        refuse_options({"language_column": language_column}, kind=f"the corpus {recipe.name}")
    if corpus.config is not None and LANG in corpus.config:
        raise UsageError(
            f"--language-column and {LANG} in --config were both given.",
            "omit --config if a column contains the languages; omit --language-column if each language has its own "
            "configuration.",
        )
    settings = {each.name: getattr(corpus, each.name) for each in fields(corpus)}
    return HubTable(**settings, language_column=language_column)


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
