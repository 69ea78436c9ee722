"""Small files with the names that the examples of help pages and of the documentation use."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def lay_out(folder: Path) -> None:
    """Write the tables that examples name: gold scores, similarities, typology, and tagged sentences."""
    codes = ("sw", "zu", "fi", "et")
    lines = [f"{s},{t},{50 + (7 * i + 3 * j) % 23}" for i, s in enumerate(codes) for j, t in enumerate(codes)]
    (folder / "scores.csv").write_text("source,target,score\n" + "\n".join(lines) + "\n")
    for name, score in (("run1.csv", 50), ("run2.csv", 52)):
        (folder / name).write_text(f"source,sw,fi\nsw,90,{score}\nfi,60,80\n")
    _lay_out_typology(folder)
    _lay_out_pos(folder)


def _lay_out_pos(folder: Path) -> None:
    """Write tagged sentences in three languages, with all splits, for `transfer` and `reproduce`."""
    texts = {
        "sw": "watoto wanasoma kitabu leo",
        "fi": "lapset lukevat kirjaa kotona",
        "en": "children read books today",
    }
    tags = ("NOUN", "VERB", "NOUN", "ADV")
    (folder / "pos").mkdir()
    for language, text in texts.items():
        words = text.split()
        for first, (split, count) in enumerate({"train": 12, "dev": 4, "test": 4}.items()):
            orders = [[(first + number + position) % 4 for position in range(4)] for number in range(count)]
            sentences = [
                "".join(f"{words[position]} {tags[position]}\n" for position in order) + f"{number}{split} NUM\n"
                for number, order in enumerate(orders)
            ]
            (folder / "pos" / f"{language}-{split}.txt").write_text("\n".join(sentences))


def _lay_out_typology(folder: Path) -> None:
    """Write a small file of each layout that baselines can read."""
    codes, names = ("sw", "zu", "fi", "et", "en", "sv", "no"), ("Swahili", "Zulu", "Finnish", "Estonian", "English")
    names += ("Swedish", "Norwegian")
    families = ("Bantu", "Bantu", "Uralic", "Uralic", "IE", "IE", "IE")
    rows = [f"{c},{n},{f},x,latin,{f},{len(n) * 100}" for c, n, f in zip(codes, names, families, strict=True)]
    (folder / "languages.csv").write_text("code,name,Family,Genus,script,family,size\n" + "\n".join(rows) + "\n")
    (folder / "sizes.csv").write_text("code,tokens,sentences\nen,55608,9\nsw,275,4\nfi,6730,7\n")
    named = "\n".join(f"{c},{n}" for c, n in zip(codes, names, strict=True))
    (folder / "udpos-langs.csv").write_text(f"language_id,language\n{named}\n")
    lines = [",".join([n, *("" if n == m else "90.5" for m in names)]) for n in names]
    (folder / "ldnd.csv").write_text(",".join(["", *names]) + "\n" + "\n".join(lines) + "\n")
    (folder / "similarity.csv").write_text("source,sw,fi\nsw,1,0.4\nfi,0.3,1\n")
    (folder / "distances.tsv").write_text("\tsw\tfi\nsw\t0\t0.6\nfi\t0.7\t0\n")
    feats = np.array([f"{group}{number}" for group in ("S_", "P_", "INV_") for number in range(6)])
    data = np.random.default_rng(3).integers(0, 2, (len(codes), len(feats), 1)).astype(np.float32)
    three = np.array(("swa", "zul", "fin", "est", "eng", "swe", "nor"))
    np.savez(folder / "feature_predictions.npz", langs=three, feats=feats, data=data)
