"""The verb `gold`, called from the command line."""

import json
import shlex

import numpy as np
import pytest

from tests.support.runners import Runner
from xsns_stream.cli.gold import command, import_command, show_command
from xsns_stream.gold import read_scores
from xsns_stream.io.console import VisibleConsole

LONG = """source,target,score
sw,sw,90
sw,fi,50.25
fi,sw,60.5
fi,fi,80
de,sw,40
de,fi,70
"""
MATRIX = "source,sw,fi\nsw,90,{}\nfi,60,80\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that the examples of the help pages name."""
    (tmp_path / "scores.csv").write_text(LONG)
    for run, score in (("run1", 50), ("run2", 54)):
        (tmp_path / f"{run}.csv").write_text(MATRIX.format(score))
    return tmp_path


def test_scores_are_imported_and_shown(folder, in_process):
    completed = in_process(
        folder, "gold", "import", "scores.csv", "--format", "long", "--unit", "percent", "-o", "g.parquet"
    )
    assert completed.code == 0, completed.err
    assert "3 sources × 2 targets" in completed.out
    assert "wrote g.parquet" in completed.err
    assert "give --task and --metric" in completed.err
    display = in_process(folder, "gold", "show", "g.parquet")
    assert (display.code, display.err) == (0, "next: xsns-stream evaluate --gold g.parquet --predict xsns=xsns.zarr\n")
    lines = [line.split("│") for line in display.out.splitlines() if "│" in line]
    best = {line[1].strip(): (line[3].strip(), line[5].strip()) for line in lines if len(line) == 7}
    assert best == {"sw": ("fi", "60.50"), "fi": ("de", "70.00")}
    # German has the mean 55 over other languages, and Swahili, which has one other target, 50.25.
    means = [(line[1].strip(), line[3].strip()) for line in lines if len(line) == 6]
    assert means == [("fi", "60.50"), ("de", "55.00"), ("sw", "50.25")]


def test_the_matrix_is_shown_with_the_best_sources_marked_and_the_trivial_answers(folder, in_process):
    (folder / "t.csv").write_text(
        "source,sw,yo,zu,en\nen,55.2,40.1,44,90\nfr,50.3,30.2,43,60\nsw,80,,60,50\nMajority,52,45,47,40\n"
    )
    completed = in_process(
        folder, "gold", "import", "t.csv", "--task", "topics", "--metric", "accuracy", "-o", "t.parquet"
    )
    assert "note: lines read as scores of the trivial answer: Majority.\n" in completed.err
    assert completed.err.endswith("next: xsns-stream gold show t.parquet\n")
    lines = in_process(folder, "gold", "show", "t.parquet").out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("accuracy (percent) of each source"))
    assert lines[start].endswith("; 5 of 9 scores on other languages are not above the score of the trivial answer, "
                                 "such as the most frequent class")  # fmt: skip
    # Sources with a higher mean over other languages come first.
    assert [line.split() for line in lines[start + 1 : start + 9]] == [
        ["source", "sw", "yo", "zu", "en"],
        [lines[start + 2]],
        ["sw", "80.0", "–", "60.0*", "50.0"],
        ["en", "55.2*", "40.1*", "44.0", "90.0"],
        ["fr", "50.3", "30.2", "43.0", "60.0*"],
        ["trivial", "answer", "52.0", "45.0", "47.0", "40.0"],
        ["*", "The", "best", "source", "of", "the", "target."],
        ["sw", "Swahili,", "en", "English,", "fr", "French,", "yo", "Yoruba,", "zu", "Zulu"],
    ]
    display = json.loads(in_process(folder, "gold", "show", "t.parquet", "--json").out)["result"]
    assert display["trivial"] == {"sw": 52, "yo": 45, "zu": 47, "en": 40}
    assert display["above_trivial"] == {"above": 4, "scores": 9}


def test_a_matrix_of_many_languages_fits_a_narrow_terminal(folder, in_process, monkeypatch):
    codes = "af ar be bg ca cs da de el en es et eu fa fi fr ga he hi hr hu hy id is it ja ka ko lt lv mk mn".split()  # noqa: SIM905
    lines = [",".join([source, *(f"{40 + row + column / 10:.1f}" for column in range(32))])
             for row, source in enumerate(codes[:20])]  # fmt: skip
    (folder / "many.csv").write_text("\n".join([f"source,{','.join(codes)}", *lines]) + "\n")
    assert in_process(folder, "gold", "import", "many.csv", "-q", "-o", "many.parquet").code == 0
    monkeypatch.setattr("xsns_stream.cli.gold.stdout_console", lambda: VisibleConsole(width=70))
    display = in_process(folder, "gold", "show", "many.parquet").out.splitlines()
    assert max(map(len, display)) <= 70
    headers = [line.split()[1:] for line in display if line.startswith("source ")]
    assert [code for header in headers for code in header] == codes
    assert sum(line.startswith("hr    ") for line in display) == len(headers)


def test_json_output_is_complete(folder, in_process):
    completed = in_process(
        folder, "gold", "import", "run1.csv", "run2.csv", "--seed", 1, "--seed", 2, "--format", "matrix", "-o", "g.csv",
        "--task", "pos", "--metric", "accuracy", "--unit", "percent", "--origin", "us", "--json",
    )  # fmt: skip
    assert (completed.code, completed.err) == (0, "wrote g.csv\n")
    document = json.loads(completed.out)
    assert (document["schema_version"], document["command"]) == (1, "gold import")
    result = document["result"]
    assert (result["seeds"], result["unit"], result["notes"], result["output"]) == ([1, 2], "percent", [], "g.csv")
    display = json.loads(in_process(folder, "gold", "show", "g.csv", "--json").out)["result"]
    assert display == {name: value for name, value in result.items() if name in display}
    assert result["left_out"]["scores"] == 0
    assert result["by_name"] == {}
    assert display["best_source"]["fi"] == {"source": "sw", "score": 52}
    np.testing.assert_array_equal(read_scores(folder / "g.csv").per_seed[:, 0, 1], [50, 54])


def test_a_regime_is_shown_by_name(folder, in_process):
    for size, score in (("00630", 40), ("10000", 60)):
        (folder / f"matrix-ft-{size}.csv").write_text(MATRIX.format(score))
    assert in_process(folder, "gold", "import", ".", "--format", "xpos", "-q", "-o", "g.parquet").code == 0
    for asked, display, score in (("main", "10000", 60), ("630", "630", 40)):
        completed = in_process(folder, "gold", "show", "g.parquet", "--regime", asked, "--json")
        result = json.loads(completed.out)["result"]
        assert (result["regime"], result["regimes"]) == (display, ["10000", "630"])
        assert result["best_source"]["fi"]["score"] == score
    completed = in_process(folder, "gold", "show", "g.parquet", "--regime", "64")
    assert (completed.code, completed.err) == (
        2,
        "error: the scores have no regime '64'.\nhint: they have 10000, 630.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        ("import scores.csv --format langrnk -o g.parquet", 2, "no format 'langrnk'", "did you mean 'langrank'?"),
        ("import none.csv --format long -o g.parquet", 1, "there is no file 'none.csv'", "check the path"),
        (
            "import scores.csv --format long -o g.xlsx",
            2,
            "does not end in the suffix of a supported format",
            ".parquet, .csv",
        ),
        ("import scores.csv --format long --unit fraction -o g.parquet", 1, "cannot be fractions", "--unit percent"),
        ("import scores.csv --format long --rename sw -o g.parquet", 2, "'--rename sw' is not OLD=NEW.", "OLD=NEW"),
        ("import scores.csv --format matrix -o g.parquet", 1, "is a long table, not a matrix", "--format long"),
        (
            "import run1.csv run2.csv --format matrix -o g.parquet",
            2,
            "2 files and 0 different seeds",
            "give --seed once",
        ),
        ("import --format long -o g.parquet", 2, "Missing argument 'FILE...'", "--help"),
        ("show none.parquet", 1, "there is no file 'none.parquet'", "check the path"),
        ("show scores.csv", 1, "its columns are source, target, score", "gold import scores.csv -o gold.parquet"),
        ("", 2, "Missing command", "--help"),
        ("shw g.parquet", 2, "No such command 'shw'", ""),
    ],
)
def test_errors_have_a_message_and_a_hint(folder, in_process, arguments, code, message, hint):
    completed = in_process(folder, "gold", *arguments.split())
    assert completed.code == code, completed.err
    assert completed.err.startswith("error: ")
    assert message in completed.err
    assert hint in completed.err
    assert completed.out == ""
    assert not (folder / "g.parquet").exists()


def test_import_that_would_lose_scores_is_an_error(folder, in_process):
    (folder / "odd.csv").write_text("source,sw,Ugro\nfi,50,60\nFinno,1,2\n")
    command = ("gold", "import", "odd.csv", "--format", "matrix", "-o", "g.parquet")
    completed = in_process(folder, *command)
    assert (completed.code, completed.out) == (1, "")
    message = "labels that are neither codes nor names of languages, with their number of scores: Ugro (2), Finno (2)."
    assert f"error: {message}\n" in completed.err
    assert not (folder / "g.parquet").exists()
    again = in_process(folder, *command, "--rename", "Finno=et", "--skip-unknown", "--json")
    assert again.code == 0
    assert "note: 2 of 4 scores are left out: labels that are neither codes nor names" in again.err
    left_out = json.loads(again.out)["result"]["left_out"]
    assert (left_out["labels"], left_out["scores"], left_out["of"]) == ({"Ugro": 2}, 2, 4)
    assert read_scores(folder / "g.parquet").sources == ("fi", "et")


FIVE = """target,Swahly,Ga,Zulu,max
English,high,20,33,44
Sorbian,50,inf,60,70
Norsk,30,40,50,60
Norwegian,30,40,50,60
"""


def test_five_problems_are_one_message_and_one_command_mends_them(folder, in_process):
    (folder / "my scores.csv").write_text(FIVE)
    command = ("gold", "import", "my scores.csv", "--task", "pos", "--unit", "fraction", "-o", "g.parquet")
    completed = in_process(folder, *command)
    assert (completed.code, completed.out) == (1, "")
    message, hint = completed.err.splitlines()
    for part in (
        "the matrix is transposed: its header calls the rows 'target'",
        "labels that are neither codes nor names of languages, with their number of scores: Swahly (4), Sorbian (4)",
        "'max' is a word for a summary and the code of a language (max)",
        "'Ga' is the code of ga and the name of gaa",
        "'Norsk' and 'Norwegian' are both 'no', and both have scores",
        "1 cell of the scores does not contain a number: English → Swahly ('high')",
        "1 cell of the scores is infinite: Sorbian → Ga",
        "4 of 4 scores are not between 0 and 1, and cannot be fractions",
    ):
        assert part in message
    for part in (
        "'Ga': gaa (Ga) or ga (Irish)",
        "'Swahly': sw (Swahili)",
        "'Sorbian': dsb (Lower Sorbian) or hsb (Upper Sorbian)",
    ):
        assert part in hint
    line = hint.partition("This command imports the file (4 scores): ")[2]
    program, *again = shlex.split(line)
    assert (program, again) == (
        "xsns-stream",
        shlex.split(
            "gold import 'my scores.csv' --task pos --transpose --rename Ga=gaa --rename Swahly=sw "
            "--rename Sorbian=dsb --skip-unknown --unit percent -o g.parquet"
        ),
    )
    assert in_process(folder, *again).code == 0
    scores = read_scores(folder / "g.parquet")
    assert (scores.sources, scores.targets) == (("gaa", "zu", "sw"), ("en", "dsb"))
    assert (scores["zu", "dsb"], scores["sw", "dsb"], scores["gaa", "en"], scores.unit) == (60, 50, 20, "percent")


def test_what_no_option_mends_is_corrected_in_the_file(folder, in_process):
    (folder / "odd.csv").write_text("source,target,score\nen,sw,50\nen,sw,51\nFinno,sw,3\n")
    completed = in_process(folder, "gold", "import", "odd.csv", "-q", "-o", "g.parquet")
    assert completed.code == 1
    assert "the score en → sw occurs twice: 50 and 51" in completed.err
    assert "This command imports the file (2 scores), after the other problems are corrected in it: " in completed.err
    (folder / "odd.csv").write_text("source,target,score\nen,sw,50\nen,sw,51\n")
    assert "This command" not in in_process(folder, "gold", "import", "odd.csv", "-o", "g.parquet").err


@pytest.mark.parametrize("page", [command, import_command, show_command])
def test_the_examples_of_the_help_pages_run(page, folder, in_process):
    examples = [line.strip() for line in page.epilog.partition("Examples:")[2].splitlines() if line.strip()]
    assert len(examples) == 2
    assert in_process(folder, *shlex.split("gold import scores.csv --format long -o gold.parquet")).code == 0
    for line in examples:
        program, *arguments = shlex.split(line)
        completed = in_process(folder, *arguments)
        assert (program, completed.code) == ("xsns-stream", 0), completed.err
        assert completed.out


def test_every_option_has_a_help_text():
    for page in (import_command, show_command):
        assert page.help
        options = [option for option in page.params if option.param_type_name == "option"]
        assert all(option.help for option in options)
        assert {"as_json", "quiet", "verbose"} <= {option.name for option in options}
        assert Runner().invoke(page, ["--help"]).exit_code == 0
