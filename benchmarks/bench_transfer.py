"""Cost of fine-tuning, compared with a plain PyTorch loop and with a ranking by sub-networks.

    python benchmarks/bench_transfer.py --data UD -o benchmarks/results/transfer.json

Part `speed` compares `xsns_stream.transfer.fine_tune` (transformers' Trainer) with a loop over the same batches in the
same order and with the same optimiser steps. Before the timing, both must end with the same weights in a run without
dropout; times are measured with dropout, interleaved. `steps` is the training alone. `whole call` includes the encoding
of the examples and the test of one dev example after every epoch, which the loop does not have. The Trainer collects
garbage before it begins, for about half a second, which dominates a run of a few steps.

Part `cost` runs the command lines of a ranking (`build`, `matrix`) and of the fine-tuning that it replaces (`transfer`
from every source to every target), each in a separate process, like the commands of a user. The cost of more languages
and seeds is extrapolated from these times, and marked as extrapolated.

The task is part-of-speech tagging by the embedded model. Without --data the text is synthetic. Every process has one
thread, unless OMP_NUM_THREADS is set.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import harness
import numpy as np

#: Goal: speed of fine-tuning relative to the loop.
TARGET = 0.9
#: Largest difference of a weight between Trainer and loop, relative to the largest change; sums have another order.
SAME = 1e-3
SEED = 42
START = [sys.executable, "-c", "from xsns_stream.cli import run; run()"]
LANGUAGES = ("bg", "en", "es", "fi", "it", "ru", "sv", "tr")
#: Languages and seeds of the extrapolation: the paper's POS experiment.
SCALED = (20, 3)


@dataclass(frozen=True)
class Case:
    """Model and data of a fine-tuning.

    Attributes:
        model: The model with its head; every run begins with the initial weights.
        initial: The initial weights.
        tokenizer: The tokenizer of the model.
        task: The task.
        labels: The classes of the task.
        train: The training data of the source.
        dev: One dev example, because tests should take almost no time.
        settings: Hyper-parameters.
    """

    model: Any
    initial: dict[str, Any]
    tokenizer: Any
    task: Any
    labels: tuple[str, ...]
    train: Any
    dev: Any
    settings: Any

    def reset(self, dropout: bool) -> Any:
        """Return the model with its initial weights, with or without dropout."""
        import torch

        self.model.load_state_dict(self.initial)
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.1 if dropout else 0.0
        return self.model

    def features(self) -> list[Any]:
        """Return the features of the examples, in their order."""
        from xsns_stream.transfer.encoding import encode

        return encode(self.task, self.labels, self.train, self.tokenizer, self.settings)


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument(
        "--data", help="labelled data of POS tagging, as for `transfer --data`; synthetic text by default"
    )
    parser.add_argument("--languages", default="", help="codes with training data  [default: eight, or the first six]")
    parser.add_argument("--examples", type=int, default=256, help="|D| of the ranking")
    parser.add_argument("--limit", type=int, default=500, help="largest number of training examples of a source")
    parser.add_argument("--test-limit", type=int, default=200, help="largest number of test examples of a target")
    parser.add_argument(
        "--epochs", type=int, default=2, help="epochs of the part `speed`; `cost` uses those of the preset"
    )
    parser.add_argument(
        "--only", choices=["speed", "cost"], action="append", help="run only this part; may be given more than once"
    )
    options = parser.parse_args()
    if options.smoke:
        options.examples, options.limit, options.test_limit, options.epochs, options.rounds = 4, 16, 4, 1, 1
    with tempfile.TemporaryDirectory() as name:
        data = options.data or str(write_made_up(Path(name) / "data", 16 if options.smoke else 600))
        languages = chosen(data, options.languages)[: 3 if options.smoke else None]
        parts = options.only or ["speed", "cost"]
        results = speed(data, languages[0], options) if "speed" in parts else []
        results += cost(Path(name), data, languages, options) if "cost" in parts else []
    show(results)
    parameters = {
        "data": "made up" if options.data is None else Path(options.data).name,
        "languages": languages,
        "model": "mini",
        "target": TARGET,
        **{key: getattr(options, key) for key in ("examples", "limit", "test_limit", "epochs")},
    }
    harness.write(options.output, harness.result("transfer", parameters, results, options.smoke))


def chosen(data: str, option: str) -> list[str]:
    from xsns_stream.corpora import open_task

    corpus = open_task(data, "pos")
    available = [code for code in corpus.languages("train") if code in corpus.languages("test")]
    requested = option.split(",") if option else [code for code in LANGUAGES if code in available]
    return requested if len(requested) > 1 else available[:6]


def write_made_up(folder: Path, count: int) -> Path:
    """Write sentences of synthetic words; each word always has the same tag, so that the tags can be learnt."""
    folder.mkdir()
    tags = ("NOUN", "VERB", "ADJ", "ADV", "DET")
    for seed, language in enumerate(("en", "fi", "sw")):
        rng = np.random.default_rng(seed)
        words = ["".join(rng.choice(list("aeioukstrnlm"), rng.integers(2, 9))) for _ in range(300)]
        for split, size in (("train", count), ("dev", count // 4), ("test", count // 4)):
            sentences = (rng.integers(0, len(words), rng.integers(4, 24)) for _ in range(size))
            blocks = ["\n".join(f"{words[word]} {tags[word % len(tags)]}" for word in line) for line in sentences]
            (folder / f"{language}-{split}.txt").write_text("\n\n".join(blocks) + "\n\n", encoding="utf-8")
    return folder


# ------------------------------------------------------------------------------------------------ speed


def speed(data: str, language: str, options: Any) -> list[dict[str, Any]]:
    """Time the Trainer and the loop in turn, after checking that they compute the same."""
    case = make_case(data, language, options)
    batches, trained = recorded(case)
    difference = check(case, batches, trained)
    runs: dict[str, list[dict[str, float]]] = {"fine_tune": [], "bare loop": []}
    contestants: dict[str, Callable[[], float]] = {
        "fine_tune": lambda: by_trainer(case, dropout=True).training["seconds"],
        "bare loop": lambda: by_loop(case, batches, dropout=True),
    }
    for number in range(options.rounds + 1):
        for name, call in contestants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            steps = call()
            timing = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "steps": steps}
            # The first round warms up.
            runs[name] += [timing] if number else []
    examples = len(case.train) * case.settings.epochs
    return [
        {
            "section": "speed",
            "contestant": name,
            "examples_per_second": examples / statistics.median(run["steps"] for run in timings),
            "of_loop": ratio(runs, name, "steps"),
            "whole_call_of_loop": ratio(runs, name, "wall"),
            "cpu_of_loop": ratio(runs, name, "cpu"),
            "examples": len(case.train),
            "steps": len(batches),
            "weights_differ": difference,
            "rounds": len(timings),
        }
        for name, timings in runs.items()
    ]


def ratio(runs: dict[str, list[dict[str, float]]], name: str, kind: str) -> float:
    """Return the median over rounds of the loop's time divided by the contestant's time in the same round."""
    pairs = zip(runs["bare loop"], runs[name], strict=True)
    return statistics.median(loop[kind] / ours[kind] for loop, ours in pairs)


def make_case(data: str, language: str, options: Any) -> Case:
    from xsns_stream.corpora import open_task
    from xsns_stream.models import load_model
    from xsns_stream.transfer import PRESETS, TASKS, class_names
    from xsns_stream.transfer.finetune import subsample

    corpus, task = open_task(data, "pos"), TASKS["pos"]
    train, dev = (corpus.split(language, split) for split in ("train", "dev"))
    labels = class_names(task, [train, dev])
    loaded = load_model("mini", objective=task.objective, label_count=len(labels), head_seed=SEED)
    initial = {name: value.detach().clone() for name, value in loaded.model.state_dict().items()}
    settings = replace(PRESETS["quick"], epochs=options.epochs, patience=options.epochs)
    train = subsample(train, options.limit)
    return Case(loaded.model, initial, loaded.tokenizer, task, labels, train, subsample(dev, 1), settings)


def by_trainer(case: Case, *, dropout: bool) -> Any:
    """Fine-tune a case like the verb `transfer`, with or without dropout, and return the result."""
    from xsns_stream.transfer import fine_tune

    model = case.reset(dropout)
    return fine_tune(model, case.tokenizer, case.task, case.labels, [case.train], [case.dev], case.settings, SEED)


def recorded(case: Case) -> tuple[list[list[int]], dict[str, Any]]:
    """Return the batches of the Trainer, and its weights after the last step, without dropout.

    The weights are read before those of the best epoch are restored, which the loop does not do.
    """
    from xsns_stream.transfer import finetune as finetuning

    batches: list[list[int]] = []
    last: dict[str, Any] = {}
    collate, train = finetuning.collate, finetuning._train
    indices: dict[int, int] = {}

    def spy(features: Sequence[Any], pad_id: int) -> dict[str, Any]:
        batches.append([indices[id(feature)] for feature in features])
        return collate(features, pad_id)

    def spied(trainer: Any) -> None:
        indices.update({id(feature): index for index, feature in enumerate(trainer.train_dataset.features)})
        train(trainer)
        last.update({name: value.detach().clone() for name, value in case.model.state_dict().items()})

    with mock.patch.object(finetuning, "collate", spy), mock.patch.object(finetuning, "_train", spied):
        by_trainer(case, dropout=False)
    return batches, last


def by_loop(case: Case, batches: Sequence[Sequence[int]], *, dropout: bool) -> float:
    """Fine-tune a case on these batches with a plain PyTorch loop, and return the seconds of training."""
    import torch

    from xsns_stream.transfer.encoding import collate

    features, pad_id = case.features(), case.tokenizer.pad_token_id
    model, settings = case.reset(dropout).train(), case.settings
    torch.manual_seed(SEED)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    total, warm = len(batches), round(settings.warmup_share * len(batches))

    def share(step: int) -> float:
        return step / warm if step < warm else (total - step) / max(1, total - warm)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
    started = time.perf_counter()
    for indices in batches:
        loss = model(**collate([features[index] for index in indices], pad_id)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    return time.perf_counter() - started


def check(case: Case, batches: Sequence[Sequence[int]], trained: dict[str, Any]) -> float:
    """Return the largest difference of a weight between Trainer and loop, relative to the largest change by training.

    Raises:
        SystemExit: The weights differ.
    """
    by_loop(case, batches, dropout=False)
    looped = case.model.state_dict()
    change = max(float((trained[name] - case.initial[name]).abs().max()) for name in trained)
    difference = max(float((trained[name] - looped[name]).abs().max()) for name in trained) / change
    if not 0 <= difference <= SAME:
        raise SystemExit(f"error: Trainer and loop end with different weights: {difference:.1e} of the largest change")
    return difference


# ------------------------------------------------------------------------------------------------- cost


def cost(folder: Path, data: str, languages: Sequence[str], options: Any) -> list[dict[str, Any]]:
    """Run the command lines of a ranking, and of the fine-tuning that it replaces."""
    codes, store, matrix, gold = ",".join(languages), folder / "r.zarr", folder / "m.parquet", folder / "g.parquet"
    ranking = (
        ("build", "--corpus", data, "--task", "pos", "--lang", codes, "--examples", options.examples, "--store", store),
        ("matrix", "--store", store, "-o", matrix),
    )
    limits = ("--limit", options.limit, "--test-limit", options.test_limit)
    epochs = ("--epochs", 1) if options.smoke else ()
    tuning = ("transfer", "--task", "pos", "--data", data, "--sources", codes, "--targets", codes, "--seed", SEED)
    rows = [timed(words, len(languages)) for words in (*ranking, (*tuning, *limits, *epochs, "-o", gold))]
    return rows + list(summed(rows, len(languages)))


def timed(words: Sequence[object], languages: int) -> dict[str, Any]:
    """Run a verb in a separate process.

    Raises:
        SystemExit: The verb failed.
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    completed = subprocess.run([*START, *map(str, words), "-q"], capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if completed.returncode:
        raise SystemExit(f"error: {words[0]} ended with exit code {completed.returncode}: {completed.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"section": "cost", "what": str(words[0]), "languages": languages, "seeds": 1, "wall_s": wall, "cpu_s": cpu}


def summed(rows: Sequence[dict[str, Any]], languages: int) -> Iterator[dict[str, Any]]:
    """Yield the cost of fine-tuning relative to a ranking, as measured and extrapolated to the paper's size."""
    cpu = {row["what"]: row["cpu_s"] for row in rows}
    ranking, tuning = cpu["build"] + cpu["matrix"], cpu["transfer"]
    yield {
        "section": "ratio",
        "extrapolated": False,
        "languages": languages,
        "seeds": 1,
        "ranking_s": ranking,
        "fine_tuning_s": tuning,
        "ratio": tuning / ranking,
    }
    more, seeds = SCALED
    # Measuring grows with languages. Fine-tuning grows with sources, and its tests also with targets.
    ranking, tuning = (seconds * more / languages * seeds for seconds in (ranking, tuning))
    yield {
        "section": "ratio",
        "extrapolated": True,
        "languages": more,
        "seeds": seeds,
        "ranking_s": ranking,
        "fine_tuning_s": tuning,
        "ratio": tuning / ranking,
    }


def show(results: Sequence[dict[str, Any]]) -> None:
    """Print the tables of the parts that were run."""
    columns = {
        "speed": ("contestant", "examples_per_second", "of_loop", "whole_call_of_loop", "cpu_of_loop"),
        "cost": ("what", "languages", "seeds", "wall_s", "cpu_s"),
        "ratio": ("extrapolated", "languages", "seeds", "ranking_s", "fine_tuning_s", "ratio"),
    }
    for section, names in columns.items():
        rows = [row for row in results if row["section"] == section]
        if rows:
            print(f"\n{section}")
            harness.print_table(names, [[row[name] for name in names] for row in rows])


if __name__ == "__main__":
    main()
