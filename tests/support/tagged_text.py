"""Made-up sentences with tags in the splits of a task, and a short `xsns-stream transfer` that learns them."""

from __future__ import annotations

from pathlib import Path

WORDS = {"en": "red dog runs fast", "fi": "koira juoksee nopeasti kotiin", "sw": "mbwa anakimbia haraka sana"}
TAGS = ("ADJ", "NOUN", "VERB", "ADV")
QUICK = ("--limit", "12", "--test-limit", "6", "--epochs", "1", "--max-length", "32")


def sentences(language: str, count: int, shift: int) -> str:
    words = WORDS[language].split()
    rows = [
        "\n".join(f"{words[(i + n + shift) % 4]} {TAGS[(i + n + shift) % 4]}" for i in range(3 + n % 2))
        + f"\n{n} NUM\n"
        for n in range(count)
    ]
    return "\n".join(rows)


def write_tagged_folder(root: Path) -> Path:
    """Write `pos`: three languages with all splits, and a fourth that has test data only; return the folder above."""
    folder = root / "pos"
    folder.mkdir()
    for language in WORDS:
        for shift, (split, count) in enumerate({"train": 24, "dev": 6, "test": 8}.items()):
            (folder / f"{language}-{split}.txt").write_text(sentences(language, count, shift))
    (folder / "et-test.txt").write_text(sentences("fi", 7, 1))
    return root


def arguments(*more: str, sources: str = "en,fi", output: str = "gold.parquet") -> tuple[str, ...]:
    return ("transfer", "--task", "pos", "--data", "pos", "--sources", sources, *QUICK, "-o", output, *more)
