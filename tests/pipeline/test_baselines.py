"""Baselines from a model equal a loop over single examples for every batch size and padding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from sklearn.metrics.pairwise import cosine_similarity

from tests.support import zoo
from tests.support.paths import SHARED_DATA as SHARED
from xsns_stream.corpora import open_corpus
from xsns_stream.errors import CorpusError, FisherError, LanguageError, ModelError, UsageError
from xsns_stream.models import EMBEDDED, LoadedModel, load_model, parameter_layout
from xsns_stream.models.auto_classes import LANGUAGE_MODELLING
from xsns_stream.objectives import MaskedLanguageModelling
from xsns_stream.pipeline.baseline_run import model_baselines
from xsns_stream.pipeline.baseline_values import Body, encode_plain
from xsns_stream.pipeline.events import ExamplesDone, NeighboursFound, Noted, Row, RowFailed, RowMeasured, RowStarted
from xsns_stream.pipeline.model_baselines import TEXT_BASELINES
from xsns_stream.types import LanguageSample, SimilarityMatrix, TextExample

LANGUAGES = ("sw", "fi", "et")
EXAMPLES, LENGTH = 6, 24


@pytest.fixture
def compute(texts: Path, loaded: LoadedModel) -> Callable[..., dict[str, SimilarityMatrix]]:
    def run(
        *names: str, corpus: Any = None, languages: tuple[str, ...] = LANGUAGES, **settings: Any
    ) -> dict[str, SimilarityMatrix]:
        options = {"examples": EXAMPLES, "batch": 4, "max_length": LENGTH} | settings
        return model_baselines(names, corpus or open_corpus(str(texts)), loaded, languages, **options)

    return run


def one_by_one(loaded: LoadedModel, corpus: Any, language: str, seed: int = 42) -> list[dict[str, Any]]:
    """Return the ids of each example, and its states [T, D] at every layer, computed one by one by transformers."""
    special = set(loaded.tokenizer.all_special_ids)
    results = []
    for example in corpus.sample(language, EXAMPLES, seed).examples:
        encoding = loaded.tokenizer(example.text, truncation=True, max_length=LENGTH, return_tensors="pt")
        with torch.no_grad():
            states = loaded.model(**encoding, output_hidden_states=True).hidden_states
        ids = encoding["input_ids"][0].numpy()
        ordinary = np.array([number not in special for number in ids])
        results.append({"ids": ids, "ordinary": ordinary, "states": [layer[0].numpy() for layer in states]})
    return results


def test_lex_is_the_divergence_of_what_the_tokenizer_makes(
    compute: Callable[..., Any], loaded: LoadedModel, texts: Path
) -> None:
    vectors = {}
    for language in LANGUAGES:
        vector = np.zeros(len(loaded.tokenizer))
        for example in one_by_one(loaded, open_corpus(str(texts)), language):
            np.add.at(vector, example["ids"][example["ordinary"]], 1)
        vectors[language] = vector / vector.sum()
    matrix = compute("lex")["lex"]
    for one in LANGUAGES:
        for other in LANGUAGES:
            expected = 1 - jensenshannon(vectors[one], vectors[other], base=2) ** 2
            assert matrix[one, other] == pytest.approx(expected, abs=1e-12)


def test_words_and_pairs_are_cut_as_a_build_cuts_them(loaded: LoadedModel) -> None:
    """The tokens are those of a build, except for the masked ones."""
    examples = (TextExample(("watoto", "wanasoma", "kitabu")), TextExample("habari ya asubuhi", pair="mwalimu leo"))
    sample = LanguageSample("sw", examples, "made up")
    plain = encode_plain(sample, loaded, 42, LENGTH).examples
    built = MaskedLanguageModelling(max_length=LENGTH).encode(sample, loaded.tokenizer, 42).examples
    for one, other in zip(plain, built, strict=True):
        restored = np.where(other.labels == -100, other.input_ids, other.labels)
        np.testing.assert_array_equal(one.input_ids, restored)
        assert one.key == other.key


@pytest.mark.parametrize("layer", [None, 0, 1])
@pytest.mark.parametrize("centre", [False, True])
def test_emb_is_the_cosine_of_means_of_means(
    compute: Callable[..., Any], loaded: LoadedModel, texts: Path, layer: int | None, centre: bool
) -> None:
    vectors = []
    for language in LANGUAGES:
        examples = one_by_one(loaded, open_corpus(str(texts)), language)
        index = 2 if layer is None else layer
        vectors.append(np.mean([example["states"][index].mean(axis=0) for example in examples], axis=0))
    stacked = np.stack(vectors).astype(np.float64)
    stacked -= stacked.mean(axis=0) if centre else 0
    matrix = compute("emb", layer=layer, centre=centre)["emb"]
    np.testing.assert_allclose(matrix.values, cosine_similarity(stacked), atol=2e-6)


def test_all_layers_are_computed_in_one_pass(compute: Callable[..., Any]) -> None:
    similarities = compute("emb", layer="all")
    assert list(similarities) == ["emb-0", "emb-1", "emb-2"]
    assert {matrix.coefficient for matrix in similarities.values()} == {"emb"}
    np.testing.assert_array_equal(similarities["emb-1"].values, compute("emb", layer=1)["emb"].values)


@pytest.mark.parametrize(("neighbour_layer", "index"), [(None, 2), (1, 1)])
def test_nn_rank_counts_whose_tokens_are_nearest(
    compute: Callable[..., Any], loaded: LoadedModel, texts: Path, neighbour_layer: int | None, index: int
) -> None:
    """The model has two layers, so that the default layer, the eighth, is replaced by the second."""
    tokens = {}
    for language in LANGUAGES:
        examples = one_by_one(loaded, open_corpus(str(texts)), language)
        tokens[language] = np.concatenate([e["states"][index][e["ordinary"]] for e in examples])
    matrix = compute("nn-rank", neighbour_layer=neighbour_layer, neighbours=3)["nn-rank"]
    for target in LANGUAGES:
        others = [code for code in LANGUAGES if code != target]
        owners = np.concatenate([[code] * len(tokens[code]) for code in others])
        products = tokens[target] @ np.concatenate([tokens[code] for code in others]).T
        nearest = owners[np.argsort(-products, axis=1)[:, :3]]
        for other in others:
            # The last bit of a product may decide between tokens that are nearly tied.
            assert matrix[other, target] == pytest.approx((nearest == other).mean(), abs=2 / nearest.size)
        assert np.isnan(matrix[target, target])


def test_grad_cosine_is_the_cosine_of_gradients_of_the_whole_loss(
    compute: Callable[..., Any], loaded: LoadedModel, texts: Path
) -> None:
    """The mean gradient equals the gradient of the mean loss, computed by one ordinary backward pass."""
    objective, layout = MaskedLanguageModelling(max_length=LENGTH), parameter_layout(loaded.model)
    parameters = dict(loaded.model.named_parameters())
    gradients = []
    for language in LANGUAGES:
        sample = open_corpus(str(texts)).sample(language, EXAMPLES, 42)
        total = torch.zeros(())
        for example in objective.encode(sample, loaded.tokenizer, 42).examples:
            logits = loaded.model(input_ids=torch.from_numpy(example.input_ids)[None]).logits[0]
            total = total + torch.nn.functional.cross_entropy(
                logits, torch.from_numpy(example.labels), ignore_index=-100, reduction="sum"
            )
        matrix = torch.autograd.grad(total, [parameters[name] for name in layout.names], allow_unused=True)
        gradients.append(torch.cat([g.flatten() for g in matrix if g is not None]).numpy())
    expected = cosine_similarity(np.stack(gradients).astype(np.float64))
    matrix = compute("grad-cosine")["grad-cosine"]
    np.testing.assert_allclose(matrix.values, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["lex", "sue", "emb", "nn-rank", "grad-cosine"])
def test_the_batch_size_does_not_matter(compute: Callable[..., Any], name: str) -> None:
    """With one example per batch there is no padding; with all examples in one batch, the short ones are padded."""
    single, one_batch = (compute(name, batch=size)[name] for size in (1, EXAMPLES))
    tolerance = 2e-2 if name == "nn-rank" else 2e-6
    np.testing.assert_allclose(single.values, one_batch.values, atol=tolerance)


def test_baselines_computed_together_equal_those_computed_alone(compute: Callable[..., Any]) -> None:
    together = compute(*TEXT_BASELINES)
    assert tuple(together) == tuple(TEXT_BASELINES)
    for name, matrix in together.items():
        single = compute(name)[name]
        np.testing.assert_array_equal(matrix.values, single.values)
        assert (matrix.coefficient, matrix.sources, matrix.targets) == (name, LANGUAGES, LANGUAGES)


def test_each_seed_has_its_own_draw(compute: Callable[..., Any]) -> None:
    similarities = compute("lex", "emb", seeds=(42, 16))
    for name, matrix in similarities.items():
        assert matrix.seeds == (42, 16)
        assert matrix.per_seed is not None
        for index, seed in enumerate((42, 16)):
            np.testing.assert_array_equal(matrix.per_seed[index], compute(name, seeds=(seed,))[name].values)
        np.testing.assert_array_equal(matrix.values, matrix.per_seed.mean(axis=0))
        assert not np.array_equal(matrix.per_seed[0], matrix.per_seed[1])


def test_a_rectangle_equals_that_part_of_the_square(compute: Callable[..., Any]) -> None:
    """`emb` is centred on the mean of all languages; `nn-rank` searches the tokens of the sources only."""
    square = compute("emb", "lex", centre=True)
    part = compute("emb", "lex", "nn-rank", centre=True, sources=("et", "sw"), targets=("fi", "sw"))
    for name in ("emb", "lex"):
        for source in ("et", "sw"):
            for target in ("fi", "sw"):
                assert part[name][source, target] == pytest.approx(square[name][source, target])
    assert part["nn-rank"].column("fi").sum() == pytest.approx(1)
    np.testing.assert_array_equal(part["nn-rank"].column("sw"), [1, np.nan])


def test_tokens_are_capped_by_whole_examples(compute: Callable[..., Any]) -> None:
    """With a limit of one token, only the first example is used; a large limit changes nothing."""
    capped = compute("nn-rank", max_tokens=1)["nn-rank"]
    np.testing.assert_array_equal(capped.values, compute("nn-rank", examples=1)["nn-rank"].values)
    large = compute("nn-rank", max_tokens=10_000)["nn-rank"]
    np.testing.assert_array_equal(large.values, compute("nn-rank")["nn-rank"].values)


def test_states_in_float16_give_nearly_the_same_values(compute: Callable[..., Any]) -> None:
    full, half = (compute("nn-rank", states=kind)["nn-rank"].values for kind in ("float32", "float16"))
    np.testing.assert_allclose(half, full, atol=0.05)


class Without:
    """A corpus in which some rows have no text."""

    local = True

    def __init__(self, corpus: Any, *missing: tuple[str, int]) -> None:
        self.corpus, self.missing, self.name = corpus, missing, "holes"

    def languages(self) -> tuple[str, ...]:
        return tuple(self.corpus.languages())

    def sample(self, language: str, count: int, seed: int) -> Any:
        if (language, seed) in self.missing:
            raise CorpusError(f"nothing of '{language}' can be read.", "look at the file.")
        return self.corpus.sample(language, count, seed)


def test_a_language_that_fails_leaves_the_others_alone(compute: Callable[..., Any], texts: Path) -> None:
    events: list[Any] = []
    corpus = Without(open_corpus(str(texts)), ("fi", 42))
    similarities = compute(*TEXT_BASELINES, corpus=corpus, on_event=events.append)
    others = compute(*TEXT_BASELINES, languages=("sw", "et"))
    for name, matrix in similarities.items():
        assert matrix.sources == matrix.targets == ("sw", "et")
        np.testing.assert_array_equal(matrix.values, others[name].values)
    (failed,) = [event for event in events if isinstance(event, RowFailed)]
    assert failed.row == Row("fi", 42)
    assert failed.error.hint == "look at the file."


def test_a_language_that_fails_under_one_seed_is_unknown_there(compute: Callable[..., Any], texts: Path) -> None:
    corpus = Without(open_corpus(str(texts)), ("fi", 16))
    matrix = compute("lex", "nn-rank", corpus=corpus, seeds=(42, 16))
    lex = matrix["lex"]
    assert lex.sources == LANGUAGES
    assert lex.per_seed is not None
    assert np.isfinite(lex.per_seed[0]).all()
    assert np.isnan(lex.per_seed[1][1]).all()
    assert np.isnan(lex["fi", "sw"])
    assert np.isfinite(lex["et", "sw"])
    # With the other seed, `nn-rank` searches the tokens of the remaining sources.
    assert matrix["nn-rank"].per_seed is not None
    assert matrix["nn-rank"].per_seed[1][2, 0] == 1


def test_a_gradient_of_nan_fails_its_language_alone(
    compute: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from xsns_stream import fisher

    real = fisher.mean_gradient

    def failing(*args: Any, language: str = "", **settings: Any) -> Any:
        if language == "fi":
            raise FisherError("the gradient of 'fi' is not finite.")
        return real(*args, language=language, **settings)

    monkeypatch.setattr(fisher, "mean_gradient", failing)
    matrix = compute("nn-rank", "grad-cosine")
    assert matrix["grad-cosine"].sources == ("sw", "et")
    np.testing.assert_array_equal(matrix["nn-rank"].values, [[np.nan, 1], [1, np.nan]])


def test_fewer_than_two_languages_are_an_error(compute: Callable[..., Any], texts: Path) -> None:
    corpus = Without(open_corpus(str(texts)), ("fi", 42), ("et", 42))
    with pytest.raises(CorpusError, match=r"no two languages are left.*nothing of 'fi' can be read") as failure:
        compute("lex", corpus=corpus)
    assert failure.value.hint == "look at the file."
    with pytest.raises(CorpusError, match="there are fewer than two languages"):
        compute("lex", languages=("sw",))


def test_events_report_rows_examples_and_the_search(compute: Callable[..., Any]) -> None:
    events: list[Any] = []
    compute("emb", "nn-rank", examples=100, on_event=events.append)
    kinds = [type(event) for event in events]
    assert kinds[:2] == [RowStarted, Noted]
    assert events[1].text == "has only 20 of the 100 examples requested."
    counts = [event for event in events if isinstance(event, ExamplesDone) and event.row.language == "sw"]
    assert [event.count for event in counts] == [4, 8, 12, 16, 20]
    assert kinds.count(RowMeasured) == 3
    last = events[-1]
    assert isinstance(last, NeighboursFound)
    assert last.count == last.total > 100


def test_temporary_files_are_gone(compute: Callable[..., Any], tmp_path: Path) -> None:
    compute("nn-rank", "grad-cosine", scratch=tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError):
        compute("nn-rank", "emb", layer=7, scratch=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"batch": 0}, UsageError, "batch size must be at least 1, not 0"),
        ({"neighbours": 0}, UsageError, "neighbours must be at least 1"),
        ({"max_tokens": 0}, UsageError, "tokens must be at least 1"),
        ({"states": "int8"}, UsageError, "cannot be stored as 'int8'"),
        ({"layer": 3}, UsageError, "has no layer 3"),
        ({"neighbour_layer": -1}, UsageError, "has no layer -1"),
        ({"sources": ("sw", "de")}, LanguageError, "'de' is not among the languages"),
        ({"centre": True, "languages": ("sw", "fi")}, UsageError, "--centre needs at least three languages"),
    ],
)
def test_invalid_settings_are_refused(
    compute: Callable[..., Any], settings: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        compute("emb", "nn-rank", **settings)


def test_an_unknown_baseline_is_refused(compute: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="no baseline 'l2v' from text"):
        compute("l2v")


def test_a_batch_that_exceeds_the_memory_is_an_error(
    compute: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Body.states

    def full(self: Body, batch: Any) -> Any:
        if len(batch["input_ids"]) > 1:
            raise torch.OutOfMemoryError("no memory")
        return real(self, batch)

    monkeypatch.setattr(Body, "states", full)
    with pytest.raises(ModelError, match="a batch of 4 examples does not fit") as failure:
        compute("emb")
    assert "--batch" in failure.value.hint


def test_lex_and_sue_need_no_weights(texts: Path, loaded: LoadedModel, compute: Callable[..., Any]) -> None:
    corpus = open_corpus(str(texts))
    bare = LoadedModel(None, loaded.tokenizer, "bare", "", "", "", "masked-lm", 0)
    settings = {"examples": EXAMPLES, "max_length": LENGTH}
    np.testing.assert_array_equal(
        model_baselines(["lex"], corpus, bare, LANGUAGES, **settings)["lex"].values, compute("lex")["lex"].values
    )
    np.testing.assert_array_equal(
        model_baselines(["sue"], corpus, None, LANGUAGES, **settings)["sue"].values, compute("sue")["sue"].values
    )


@pytest.mark.parametrize(
    "family", [name for name, kind in zoo.FAMILIES.items() if kind.objective in LANGUAGE_MODELLING]
)
def test_states_of_every_family_do_not_depend_on_padding(family: str) -> None:
    model = zoo.make(family)
    body = Body(SimpleNamespace(model=model, name=family, pad_id=zoo.PADDING))  # type: ignore[arg-type]
    assert (body.layers, body.width) == (2, zoo.WIDTH)
    lengths = (9, 4)
    batch = zoo.batch(model, family, lengths)
    with zoo.float64_throughout():
        together = body.states(batch)
        for row, length in enumerate(lengths):
            single = body.states(
                {name: batch[name][row : row + 1, :length] for name in ("input_ids", "attention_mask")}
            )
            for one, other in zip(together, single, strict=True):
                torch.testing.assert_close(one[row, :length], other[0], rtol=1e-9, atol=1e-9)
    assert not any(state.requires_grad for state in together)


@pytest.mark.shared_data
@pytest.mark.skipif(not (SHARED / "ntrex").is_dir(), reason="the corpus NTREX is not beside the project")
def test_relatives_find_each_other_in_real_text() -> None:
    files = {"de": "deu", "nl": "nld", "et": "est", "fi": "fin", "sw": "swa", "zu": "zul", "bg": "bul", "ru": "rus"}
    corpus = open_corpus([f"{code}={SHARED / 'ntrex' / name}.txt" for code, name in files.items()])
    matrices = model_baselines(
        ["lex", "emb", "nn-rank"], corpus, load_model(EMBEDDED), tuple(files), examples=48, max_tokens=800, centre=True
    )
    relative = dict(zip(files, [1, 0, 3, 2, 5, 4, 7, 6], strict=True))
    for matrix in matrices.values():
        values = matrix.values.copy()
        np.fill_diagonal(values, -np.inf)
        assert values.argmax(axis=0).tolist() == [relative[code] for code in matrix.targets]
