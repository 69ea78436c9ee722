"""The corpora `ntrex` and `ntrex:held-out`: parallel news sentences in 125 languages and varieties, from NTREX-128.

`assets/ntrex/` contains the text, its licence and its README. The embedded model `mini` was trained on the lines of
`ntrex`, and not on the lines of `ntrex:held-out`.
"""

from __future__ import annotations

import json
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

from xsns_stream.corpora.examples import Unit, draw_examples
from xsns_stream.corpora.readers import read_units
from xsns_stream.languages import pick
from xsns_stream.types import LanguageSample

NTREX: Final = "ntrex"
FOLDER: Final = Path(__file__).parents[1] / "assets" / "ntrex"


class NtrexCorpus:
    """The shipped lines of NTREX-128 on which the embedded model was trained, or the lines on which it was not trained.

    Line i of a language is the translation of line i of every other language.

    Args:
        kind: `ntrex` or `ntrex:held-out`.
    """

    local = True

    def __init__(self, kind: str = NTREX) -> None:
        self.kind = kind

    @cached_property
    def name(self) -> str:
        """Name of the corpus with the commit of its source, for provenance."""
        return f"{self.kind}(revision={contents()['commit'][:7]})"

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence if the working directory has a folder of the same name, which is not read; otherwise empty."""
        if not Path(self.kind).is_dir():
            return ()
        return (f"{self.kind} is the text that is shipped with the program; write ./{self.kind} to read your folder.",)

    def languages(self) -> tuple[str, ...]:
        """Return the codes of all languages, sorted."""
        return tuple(sorted(contents()["languages"]))

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        """Draw `count` lines in `language`; all lines if there are fewer.

        The draw is the same as from a file with these lines.

        Raises:
            LanguageError: NTREX-128 does not have the language.
        """
        code = pick(language, self.languages(), f"the corpus {self.kind}")
        source = f"{self.kind}/{code}"
        examples, counts = draw_examples(lambda: iter(self._units(code)), count, seed, source)
        return LanguageSample(code, examples, source, counts)

    def label_names(self) -> tuple[str, ...]:
        """Return an empty tuple, since the lines have no labels."""
        return ()

    def _units(self, code: str) -> list[Unit]:
        # The file of a language contains the lines of each corpus in the order of `contents.json`.
        start = 0
        for corpus, (first, last) in contents()["lines"].items():
            if corpus == self.kind:
                break
            start += last - first + 1
        return list(islice(read_units(FOLDER / f"{code}.txt.xz"), start, start + last - first + 1))


@cache
def contents() -> dict[str, Any]:
    """Return the record of the shipped text: source, commit, line numbers, and files with their digests."""
    record: dict[str, Any] = json.loads((FOLDER / "contents.json").read_text(encoding="utf-8"))
    return record
