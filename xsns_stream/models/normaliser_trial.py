"""Program that prints the factor by which the normaliser of a tokenizer lengthens short texts.

Usage: `python -I normaliser_trial.py NORMALIZER.json`. The program is run by its path, and does not import xsns_stream.
    It first limits its own memory and time: if the normaliser makes a text too long, this process is killed
and not the process of the caller.
"""

import json
import sys
from pathlib import Path

MEMORY = 2**30
SECONDS = 5
#: Text that is printed after the library is imported. If the program fails before, the normaliser is not the cause.
READY = "ready"
TEXT = (
    "The quick brown fox jumps over the lazy dog 0123456789 times.\n"
    "THE QUICK BROWN FOX; ¿qué? «Ça va» Größe, ἀλήθεια Съешь же ещё этих мягких булок "
    "नमस्ते 你好世界 こんにちは 안녕 مرحبا שלום ﷺ ﬁ ½ ™ \t(a) [b] {c} <d> 'e' \"f\" #$%&*+-/=?@^_`|~"
)


def limit() -> None:
    """Limit the memory and time of this process, if the system supports it."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):
            continue


def patterns(value: object) -> list[str]:
    """Return all fixed strings that the normaliser replaces; regular expressions are left out."""
    if isinstance(value, list):
        return [text for item in value for text in patterns(item)]
    if not isinstance(value, dict):
        return []
    own = value.get("pattern")
    plain = own.get("String") if isinstance(own, dict) else None
    return [*([plain] if isinstance(plain, str) else []), *patterns(list(value.values()))]


def main() -> None:
    """Print the largest factor by which the normaliser lengthens one of several short texts."""
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    from tokenizers import Tokenizer

    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    limit()
    whole = {"version": "1.0", "added_tokens": [], "normalizer": document}
    whole["model"] = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
    normalizer = Tokenizer.from_str(json.dumps(whole)).normalizer
    texts = [TEXT, TEXT * 2, *(text * 16 for text in patterns(document) if text)]
    growth = max(len(normalizer.normalize_str(text)) / (len(text) + 16) for text in texts)
    sys.stdout.write(f"{growth}\n")


if __name__ == "__main__":
    main()
