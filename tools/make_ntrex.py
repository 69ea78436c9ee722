"""Make the text of the corpus `ntrex`: `python tools/make_ntrex.py --data FOLDER --out xsns_stream/assets/ntrex`.

`--data` is a copy of https://github.com/MicrosoftTranslator/NTREX at the commit of `COMMIT`. The program writes one
file CODE.txt.xz for each language, the licence of the data, and `contents.json` with the source, the line numbers, and
the SHA-256 digest of the text of each language. The digests are of the decompressed text, because another version of
liblzma may compress the same text to other bytes.

The embedded model was trained on lines 1 to 1897 of all files (`tools/train_mini.py`). The shipped lines are the first
192, which the model has seen, and the last 100, which it has not seen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import re
from pathlib import Path
from typing import Final

from xsns_stream.languages import normalise

SOURCE: Final = "https://github.com/MicrosoftTranslator/NTREX"
COMMIT: Final = "8561f6a622db9edad1217683e5c83daefd8bb2bf"
LINES_OF_A_FILE: Final = 1997
#: {corpus: its first and last line}, counted from 1.
LINES: Final = {"ntrex": (1, 192), "ntrex:held-out": (1898, LINES_OF_A_FILE)}
REFERENCE: Final = re.compile(r"newstest2019-ref\.(?P<code>[A-Za-z-]+)\.txt")
#: The English source text, whose language is `en`.
ENGLISH: Final = "newstest2019-src.eng.txt"
#: Copies of the English source with another spelling; 58 to 98 % of their shipped lines are those of the source.
LEFT_OUT: Final = ("eng-GB", "eng-IN", "eng-US")
#: White space and separators inside a line, which some readers take for the end of a line.
SEPARATORS: Final = re.compile("[\t\v\f\x85\u2028\u2029]")


def files_of_languages(data: Path) -> dict[str, Path]:
    """Return {code: file}, with the codes that the package uses.

    Only the first reference of a language is used (Spanish has a second one).

    Raises:
        ValueError: Two files have the same code.
    """
    folder = data / "NTREX-128"
    files = {"en": folder / ENGLISH}
    for path in sorted(folder.iterdir()):
        match = REFERENCE.fullmatch(path.name)
        if match is None or match["code"] in LEFT_OUT:
            continue
        code = normalise(match["code"])
        if code in files:
            raise ValueError(f"{files[code].name} and {path.name} both have the code {code}")
        files[code] = path
    return dict(sorted(files.items()))


def shipped_lines(path: Path) -> list[str]:
    """Return the shipped lines of a file, without byte order marks, carriage returns and separators.

    Raises:
        ValueError: The file does not have 1997 lines.
    """
    lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    if len(lines) != LINES_OF_A_FILE:
        raise ValueError(f"{path.name} has {len(lines)} lines, and not {LINES_OF_A_FILE}")
    plain = [SEPARATORS.sub(" ", line.replace("\ufeff", "").replace("\r", "")).strip() for line in lines]
    return [line for first, last in LINES.values() for line in plain[first - 1 : last]]


def write_folder(data: Path, out: Path) -> None:
    """Write the files of all languages, the licence and `contents.json`."""
    out.mkdir(parents=True, exist_ok=True)
    languages = {}
    for code, path in files_of_languages(data).items():
        text = "".join(f"{line}\n" for line in shipped_lines(path)).encode()
        compressed = lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)
        (out / f"{code}.txt.xz").write_bytes(compressed)
        languages[code] = {"file": f"NTREX-128/{path.name}", "sha256": hashlib.sha256(text).hexdigest()}
    (out / "LICENSE").write_bytes((data / "LICENSE.md").read_bytes())
    contents = {
        "source": SOURCE,
        "commit": COMMIT,
        "license": "CC-BY-SA-4.0",
        "lines": {corpus: list(span) for corpus, span in LINES.items()},
        "languages": languages,
    }
    (out / "contents.json").write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the options and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="copy of the repository of NTREX")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args()
    write_folder(options.data, options.out)


if __name__ == "__main__":
    main()
