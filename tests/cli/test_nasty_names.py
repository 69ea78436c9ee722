"""Names with control characters and changes of writing direction: every verb escapes them in its output and files."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.networks import make_sub
from xsns_stream.store import open_store
from xsns_stream.transfer.finetune import StepTimes
from xsns_stream.types import LayerSpan, ParameterLayout

#: C0 without line breaks, DEL, C1, line separators, and marks that change the writing direction.
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
NASTY = (
    "\x1b[31mred\x1b[0m",
    "a\x07\x08\x0b\x0c\rb",
    "tab\tname",
    "\x7f\x85\x9b31m",
    "safe\u202egnp.exe\u202c",
    "\u2066isolated\u2069\u200e\u200f\u061c",
    "line\nerror: forged",
    "[red]markup[/red]:smile:",
    "long" * 100,
)
#: The names in the fast tests, one of each kind. The slow tests use all names.
ALWAYS = (NASTY[0], NASTY[4], NASTY[6])
NAMES = [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in NASTY]
WORDS = ("children", "read", "a", "book", "at", "home", "while", "the", "teacher", "works", "in", "that", "school")


def assert_visible(completed: Any) -> None:
    match = RAW.search(completed.out + completed.err)
    assert not match, (match, completed)
    assert completed.code in {0, 1, 2, 3}, completed.err
    assert not re.search(r"^error: forged", completed.out + completed.err, re.MULTILINE), completed.err


@pytest.fixture
def nasty_store(tmp_path: Path) -> Path:
    """A store with such names of tensors, layers, folders and files."""
    names = tuple(f"{number}{name}.weight" for number, name in enumerate(NASTY))
    layout = ParameterLayout(
        names,
        ((64,),) * len(names),
        tuple(LayerSpan(f"{name}{i}", 64 * i, 64 * (i + 1)) for i, name in enumerate(NASTY)),
    )
    path = tmp_path / "x.zarr"
    store = open_store(path, "a")
    for language in ("sw", "fi", "et"):
        store.write(make_sub(language, layout=layout, model=NASTY[0], corpus=NASTY[4]))
    for number, name in enumerate(name.replace("/", "") for name in NASTY[:-1]):
        (path / f"stray{number}{name}").mkdir()
        (path / "commits" / "0.15" / "0" / f"{number}{name}").mkdir()
        (path / "subnetworks" / "c" / f"stray{number}{name}").write_bytes(b"x")
        (path / f"{number}{name}.partial").write_bytes(b"x")
    return path


VERBS = {
    "info": "info --store S",
    "matrix": "matrix --store S -o m.csv -o m.tsv -o m.json",
    "matrix by layer": "matrix --store S --by layer -o g.csv -o g.json",
    "rank": "rank --store S --target sw",
    "rank with reasons": "rank --store S --target sw --explain",
    "shared": "shared --store S --lang sw,fi --by layer",
    "shared tensors": "shared --store S --lang sw,fi --by tensor",
    "verify": "verify --store S",
    "prune": "prune S --unfinished --dry-run",
    "copy": "copy S copy.zarr",
    "merge": "merge merged.zarr S",
    "export": "export --store S --lang sw -o out.npz",
    "an unknown language": "rank --store S --target xx",
}


#: Verbs that print names of layers or tensors.
SHOW_NAMES = {"matrix by layer", "rank with reasons", "shared", "shared tensors"}


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("verb", VERBS)
def test_verbs_escape_names_in_a_store(
    verb: str, as_json: bool, nasty_store: Path, in_process: Callable[..., Any], tmp_path: Path
) -> None:
    words = [str(nasty_store) if word == "S" else word for word in VERBS[verb].split()]
    completed = in_process(tmp_path, *words, *(["--json"] if as_json else []))
    assert_visible(completed)
    assert completed.code == (2 if verb == "an unknown language" else 0), completed.err
    if verb in SHOW_NAMES and not as_json:
        assert r"\x1b[31mred\x1b[0m" in completed.out
        assert "[red]markup[/red]:smile:" in completed.out
    if as_json and completed.out:
        json.loads(completed.out)
    for path in (path for kind in ("csv", "tsv", "json") for path in tmp_path.glob(f"*.{kind}")):
        text = path.read_text(encoding="utf-8")
        assert not RAW.search(text.replace("\t", "") if path.suffix == ".tsv" else text), path


def test_errors_escape_fields_of_damaged_documents(nasty_store: Path, in_process: Any, tmp_path: Path) -> None:
    """Error messages escape fields of the documents of a store."""
    record = next(nasty_store.glob("commits/0.15/0/sw/zarr.json"))
    document = json.loads(record.read_text())
    for field in ("language", "threshold", "sha256"):
        for name in NASTY:
            document["attributes"] |= {field: name}
            record.write_text(json.dumps(document))
            for verb in ("verify", "info", "matrix"):
                assert_visible(in_process(tmp_path, verb, "--store", str(nasty_store)))


@pytest.mark.parametrize("name", [name for name in NASTY if len(name) < 200])
def test_names_of_stores_models_and_corpora_are_escaped(
    name: str, tiny_folder: Path, in_process: Any, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(tiny_folder, tmp_path / f"model{name.replace('/', '')}"))
    texts = tmp_path / f"texts{name.replace('/', '')}"
    texts.mkdir()
    lines = "\n".join(" ".join(WORDS[n % 5 : n % 5 + 8]) + f" {n}" for n in range(8))
    (texts / "sw.txt").write_text(lines)
    (texts / f"fi{name.replace('/', '')}.txt").write_text(lines)
    build = ["build", "--model", str(model), "--corpus", str(texts), "--examples", "2", "--max-length", "24"]
    store = str(tmp_path / f"s{name.replace('/', '')}.zarr")
    assert_visible(in_process(tmp_path, *build, "--lang", "sw", "--store", store))
    assert_visible(in_process(tmp_path, *build, "--lang", f"sw,{name}", "--store", store))
    for more in (
        ["info", "--store", store],
        ["info", "--store", store, "--json"],
        ["info", "--corpus", str(texts)],
        ["params", "--model", f"no{name}"],
        ["matrix", "--store", f"no{name}"],
        [f"verb{name}"],
        ["matrix", f"--option{name}"],
    ):
        assert_visible(in_process(tmp_path, *more))


@pytest.mark.parametrize("name", NASTY[:-1])
def test_labels_of_scores_and_matrices_are_escaped(name: str, in_process: Any, tmp_path: Path) -> None:
    import csv

    with (tmp_path / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("source", "target", "score"), ("sw", "fi", 1), (name, "fi", 2), ("fi", "sw", 3), ("fi", name, 4)]
        )
    with (tmp_path / "matrix.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("source", "sw", name), ("sw", 1, 0.5), (name, 0.5, 1)])
    for words in (
        ["gold", "import", "scores.csv", "--format", "long", "-o", "gold.csv"],
        ["gold", "show", "gold.csv"],
        ["baseline", "file", "matrix.csv", "-o", "out.csv"],
        ["evaluate", "--gold", "scores.csv", "--predict", "matrix.csv"],
    ):
        assert_visible(in_process(tmp_path, *words))
    for path in ("gold.csv", "out.csv"):
        if (tmp_path / path).exists():
            assert not RAW.search((tmp_path / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_names_of_predictors_and_their_labels_are_escaped(name: str, in_process: Any, tmp_path: Path) -> None:
    """`evaluate` and `regress` escape names of predictors and features, and labels of matrices, scores and tables."""
    import csv

    codes = ("sw", "fi", "en", "et")

    def write(path: str, *rows: tuple[object, ...]) -> None:
        with (tmp_path / path).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)

    scores = [(one, other, 50 + 7 * i - 3 * j) for i, one in enumerate(codes) for j, other in enumerate(codes)]
    write("scores.csv", ("source", "target", "score"), *scores)
    matrix = [(one, *(1 / (1 + abs(i - j)) + i / 50 for j in range(4)), 0.5) for i, one in enumerate(codes)]
    write("matrix.csv", ("source", *codes, name), *matrix, (name, *[0.1] * 4, 1))
    write("languages.csv", ("code", f"c{name}", "size"), *((code, code[0], 7) for code in codes), (name, name, name))
    description = ["--task", f"t{name}", "--metric", f"m{name}", "--origin", name, "--unit", "percent"]
    completed = in_process(tmp_path, "gold", "import", "scores.csv", "--format", "long", *description, "-o", "gold.csv")
    assert_visible(completed)
    assert completed.code == 0, completed.err
    predict = ["--predict", f"p{name.replace('/', '')}=matrix.csv"]
    features = ["--features", "languages.csv", "--feature", f"n{name}=same:c{name}"]
    for verb, more, files in (
        ("evaluate", ["--resamples", "100", "--per-target"], ("out.csv", "out.md", "out.json")),
        ("regress", ["--resamples", "100"], ("out.csv", "out.md", "out.json")),
        ("regress", features, ()),
    ):
        command = [verb, "--gold", "gold.csv", *predict, *more]
        refused = in_process(tmp_path, *command)
        assert_visible(refused)
        assert refused.code in {1, 2}, "a label that is not a language"
        for json_option in ([], ["--json"]):
            outputs = [word for path in files for word in ("-o", path)]
            completed = in_process(tmp_path, *command, "--skip-unknown", *outputs, *json_option)
            assert_visible(completed)
            assert completed.code == 0 or verb == "regress", completed.err
        for path in files:
            if (tmp_path / path).exists():
                assert not RAW.search((tmp_path / path).read_text(encoding="utf-8")), path


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_tasks_are_escaped(
    name: str, tiny_folder: Path, in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`transfer` and `build --task` escape the classes of the data in notes and messages."""
    monkeypatch.setattr("xsns_stream.pipeline.run_transfer.time_steps", lambda *arguments: StepTimes(0.1, 0.1))
    folder = tmp_path / "topics"
    folder.mkdir()

    def write(path: str, *classes: str) -> None:
        lines = (json.dumps({"text": f"{path} a book {n}", "label": classes[n % len(classes)]}) for n in range(12))
        (folder / path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    for split in ("train", "dev", "test"):
        write(f"en-{split}.jsonl", "x", f"c{name}")
        write(f"fi-{split}.jsonl", "x", "y")
    command = ["transfer", "--task", "topic", "--data", str(folder), "--model", str(tiny_folder), "-o", "gold.csv"]
    command += ["--max-length", "24", "--dry-run"]
    for more in (
        ["--sources", "en,fi"],
        ["--sources", "en,fi", "--json"],
        ["--sources", "fi", "--targets", "en"],
        ["--sources", "en,fi", "--relabel", f"c{name}=y"],
        ["--sources", "en,fi", "--relabel", f"{name}=y"],
        ["--sources", name],
        ["--sources", "en", "--metric", name],
    ):
        assert_visible(in_process(tmp_path, *command, *more))
    write("fi-train.jsonl", "x", f"C{name}")
    spelt = in_process(tmp_path, *command, "--sources", "en,fi")
    assert_visible(spelt)
    assert "several spellings" in spelt.err
    build = ["build", "--corpus", str(folder), "--task", "topic", "--objective", "sequence-classification"]
    assert_visible(in_process(tmp_path, *build, "--model", str(tiny_folder), "--store", "x.zarr", "--lang", "en"))


@pytest.mark.parametrize("name", [name for name in NASTY if len(name) < 200])
def test_arguments_of_reproduce_are_escaped(name: str, in_process: Any, tmp_path: Path) -> None:
    out = ["--out", f"r{name.replace('/', '')}", "--dry-run"]
    for more in (
        [],
        ["--json"],
        ["--tasks", name],
        ["--languages", name],
        ["--data", f"{name}=x"],
        ["--data", f"topic=x{name}"],
        ["--model", f"m{name}"],
        ["--model", "mini", "--other-model", f"m{name}"],
    ):
        assert_visible(in_process(tmp_path, "reproduce", "table1", *out, *more))
    assert_visible(in_process(tmp_path, "reproduce", f"table{name}", *out))
