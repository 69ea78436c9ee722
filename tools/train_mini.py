"""Train the embedded model `mini` from scratch: `python tools/train_mini.py --data DIR --out DIR`.

The model has XLM-R's architecture with 4 layers × 256 and a Unigram vocabulary of 16,384 tokens. It is trained with
masked language modelling on NTREX, UDHR and CLDR text. `--data` contains `ntrex/` (one file for each language) and
`udhr/`; CLDR comes with Babel. The last 100 lines of every NTREX file are held out. Four measures let one CPU core
train the model in an hour:

* a batch contains short segments of similar length, and the head is applied only to the masked positions;
* embeddings start from a factorised co-occurrence matrix, and the output bias starts at the log frequencies, so that
    the model does not have to learn which tokens belong to the same language;
* the heads of the first block attend to neighbouring positions from the first step on;
* matrix products are rounded to bfloat16 where the processor multiplies it faster (weights stay float32).

The result is repeatable for one seed, data digest, number of steps and kind of processor; `training.json` records them
with the loss curve and the held-out metrics. The tokenizer is trained first (about five minutes) and saved in `--out`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch.nn import functional as F

from xsns_stream.corpora.cldr import CldrCorpus

HELD_OUT_LINES = 100
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BOS, PAD, EOS, UNK, MASK = range(5)


@dataclass(frozen=True)
class Recipe:
    """All settings that determine the result, besides the data."""

    vocabulary: int = 16_384
    layers: int = 4
    hidden: int = 256
    feed_forward: int = 1_024
    heads: int = 4
    piece_tokens: int = 64  # longest training segment, with <s> and </s>
    batch_tokens: int = 1_024
    mask_rate: float = 0.25
    learning_rate: float = 1.5e-3
    warmup: float = 0.03
    temperature: float = 0.9  # language l is drawn in proportion to tokens(l) ** temperature
    factorised_start: bool = True
    local_start: bool = True
    position_dims: int = 64
    seed: int = 20231206


def read_corpus(data: Path) -> tuple[dict[str, list[str]], dict[str, list[str]], str]:
    """Return {name: training lines}, {NTREX name: held-out lines} and a digest of all of them."""
    train: dict[str, list[str]] = {}
    held_out: dict[str, list[str]] = {}
    for path in sorted((data / "ntrex").glob("*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        train[f"ntrex/{path.stem}"] = lines[:-HELD_OUT_LINES]
        held_out[path.stem] = lines[-HELD_OUT_LINES:]
    for path in sorted((data / "udhr").glob("*.txt")):
        train[f"udhr/{path.stem}"] = path.read_text(encoding="utf-8").splitlines()
    cldr = CldrCorpus()
    for language in cldr.languages():
        train[f"cldr/{language}"] = [str(example.text) for example in cldr.read(language).examples]
    digest = hashlib.sha256(json.dumps([train, held_out], ensure_ascii=False).encode()).hexdigest()
    return train, held_out, digest


def train_tokenizer(train: dict[str, list[str]], recipe: Recipe):
    """Train a tokenizer of XLM-R's kind: Unigram tokens over NFKC text with metaspaces."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=recipe.vocabulary, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    # A limit on the lines of a file prevents large languages from filling the vocabulary.
    lines = [line for name, text in train.items() for line in text[: 600 if name.startswith("ntrex") else 60]]
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return tokenizer


def encode(tokenizer, train: dict[str, list[str]], recipe: Recipe) -> dict[str, list[np.ndarray]]:
    """Return {name: segments of at most `piece_tokens` ids, including <s> and </s>}."""
    segments: dict[str, list[np.ndarray]] = {}
    room = recipe.piece_tokens - 2
    for name, lines in train.items():
        ids = [e.ids for e in tokenizer.encode_batch(lines, add_special_tokens=False)]
        parts = [line[start : start + room] for line in ids for start in range(0, len(line), room)]
        segments[name] = [np.array([BOS, *part, EOS], dtype=np.int32) for part in parts if len(part) >= 4]
    return segments


def factorised_embeddings(segments: list[np.ndarray], recipe: Recipe) -> np.ndarray:
    """Return embeddings [V, d], from a truncated SVD of the positive pointwise mutual information of tokens.

    The mutual information is that of two tokens in the same segment.
    """
    from sklearn.utils.extmath import randomized_svd

    size = recipe.vocabulary
    rows = np.repeat(np.arange(len(segments)), [len(p) for p in segments])
    ids = np.concatenate(segments)
    lines = sparse.csr_matrix((np.ones(len(ids), np.float32), (rows, ids)), shape=(len(segments), size))
    together = (lines.T @ lines).tocoo()
    total, marginal = together.data.sum(), np.asarray(together.sum(axis=1)).ravel()
    pmi = np.log(together.data * total / (marginal[together.row] * marginal[together.col]))
    keep = pmi > 0
    matrix = sparse.csr_matrix((pmi[keep], (together.row[keep], together.col[keep])), shape=(size, size))
    left_vectors, values, _ = randomized_svd(
        matrix, recipe.hidden - recipe.position_dims, n_iter=3, random_state=recipe.seed
    )
    vectors = left_vectors * np.sqrt(values)
    vectors = np.pad(vectors * (0.04 / vectors.std()), ((0, 0), (0, recipe.position_dims)))
    return vectors.astype(np.float32)


def start_local(model, recipe: Recipe) -> None:
    """Make the heads of the first block attend to neighbouring positions from the first step on.

    Positions are sinusoids in separate dimensions. The queries of head h rotate them by the offset δ_h, so that q_i ·
    k_j has its maximum at j = i + δ_h. A small model that must learn this from the text predicts little more than token
    frequencies for most of a short training.
    """
    room, size = recipe.position_dims, recipe.hidden // recipe.heads
    speeds = (np.arange(room // 2) + 0.5) * (2 * np.pi / room)
    angles = np.arange(model.config.max_position_embeddings)[:, None] * speeds
    waves = np.zeros((len(angles), recipe.hidden), np.float32)
    waves[:, -room:] = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * (0.04 * np.sqrt(2))
    model.roberta.embeddings.position_embeddings.weight.copy_(torch.from_numpy(waves))
    model.roberta.embeddings.word_embeddings.weight[:, -room:] = 0
    model.roberta.embeddings.token_type_embeddings.weight.zero_()
    attention = model.roberta.encoder.layer[0].attention
    generator = torch.Generator().manual_seed(recipe.seed)
    gain = math.sqrt(8.0 * math.sqrt(size) / (room // 2) / 2)
    for head, offset in enumerate((-1, 1, -2, 2)[: recipe.heads]):
        rows = slice(head * size, head * size + room)
        cos, sin = np.diag(np.cos(offset * speeds)), np.diag(np.sin(offset * speeds))
        turn = torch.from_numpy(np.block([[cos, -sin], [sin, cos]]).astype(np.float32))
        attention.self.query.weight[rows, -room:] = gain * turn
        attention.self.key.weight[rows, -room:] = gain * torch.eye(room)
        value = torch.empty(size, recipe.hidden)
        torch.nn.init.orthogonal_(value, generator=generator)
        attention.self.value.weight[head * size : (head + 1) * size] = value
    torch.nn.init.orthogonal_(attention.output.dense.weight, generator=generator)


def build_model(recipe: Recipe, segments: list[np.ndarray]):
    """Return the model, with embeddings and output bias initialised from statistics of the text."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    torch.manual_seed(recipe.seed)
    config = XLMRobertaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.feed_forward,
        max_position_embeddings=258,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=EOS,
        layer_norm_eps=1e-5,
    )
    # On CPUs, the backward of fused attention took a third of a step at these lengths; plain products are faster.
    config._attn_implementation = "eager"
    model = XLMRobertaForMaskedLM(config)
    counts = np.bincount(np.concatenate(segments), minlength=recipe.vocabulary) + 1.0
    with torch.no_grad():
        model.lm_head.bias.copy_(torch.from_numpy(np.log(counts / counts.sum()) + math.log(len(counts))))
        if recipe.factorised_start:
            words = model.get_input_embeddings().weight
            fresh = words[: len(SPECIAL)].clone()
            words.copy_(torch.from_numpy(factorised_embeddings(segments, recipe)))
            words[: len(SPECIAL)] = fresh
        if recipe.local_start:
            start_local(model, recipe)
    return model


def batches(segments: dict[str, list[np.ndarray]], recipe: Recipe, seed: int):
    """Yield int64 [B, T] arrays without end: languages are drawn by temperature, lengths in a batch are similar."""
    rng = np.random.default_rng(seed)
    names = list(segments)
    tokens = np.array([sum(map(len, segments[name])) for name in names], dtype=float)
    share = tokens**recipe.temperature / (tokens**recipe.temperature).sum()
    cursors = {name: [] for name in names}
    while True:
        batch = []
        for index in rng.choice(len(names), size=4_096, p=share):
            name = names[index]
            if not cursors[name]:  # an epoch of this language ends: shuffle again
                cursors[name] = list(rng.permutation(len(segments[name])))
            batch.append(segments[name][cursors[name].pop()])
        batch.sort(key=len)
        groups, group = [], []
        for segment in batch:
            if group and (len(group) + 1) * len(segment) > recipe.batch_tokens:
                groups.append(group)
                group = []
            group.append(segment)
        for index in rng.permutation(len(groups)):
            block = np.full((len(groups[index]), max(map(len, groups[index]))), PAD, dtype=np.int64)
            for row, segment in zip(block, groups[index], strict=True):
                row[: len(segment)] = segment
            yield block


def mask(block: torch.Tensor, rate: float, vocabulary: int, generator: torch.Generator, *, always: bool = False):
    """Return (inputs, selected): a share `rate` of the tokens of a block is selected for prediction.

    Of the selected tokens, 80 % are replaced by <mask>, 10 % by random tokens, and 10 % are unchanged; with `always`,
    all of them are replaced by <mask>.
    """
    selected = (torch.rand(block.shape, generator=generator) < rate) & (block >= len(SPECIAL))
    kind = torch.rand(block.shape, generator=generator)
    inputs = block.masked_fill(selected & ((kind < 0.8) | always), MASK)
    if not always:
        random = torch.randint(len(SPECIAL), vocabulary, block.shape, generator=generator)
        inputs = torch.where(selected & (kind >= 0.9), random, inputs)
    return inputs, selected


def masked_loss(model, inputs: torch.Tensor, block: torch.Tensor, selected: torch.Tensor):
    """Return (sum of the cross-entropies, logits, targets) of the selected positions."""
    hidden = model.roberta(inputs, attention_mask=(inputs != PAD).long()).last_hidden_state
    logits = model.lm_head(hidden[selected]).float()
    target = block[selected]
    return F.cross_entropy(logits, target, reduction="sum"), logits, target


def optimizer(model, recipe: Recipe) -> torch.optim.Optimizer:
    """Return AdamW without weight decay for vectors and biases."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim == 2], "weight_decay": 0.01},
        {"params": [p for p in parameters if p.ndim != 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), eps=1e-8, fused=True)


def evaluate(model, tokenizer, train, held_out, recipe: Recipe) -> dict[str, object]:
    """Return the masked cross-entropy on the held-out lines of each language.

    Every selected token (15 %) becomes <mask>. The baseline knows each language and its token frequencies in the
    training lines, with additive smoothing. The smoothing constant is the best of four on the held-out text itself,
    which favours the baseline.
    """
    rows = {}
    for name, lines in held_out.items():
        ids = [e.ids[: recipe.piece_tokens] for e in tokenizer.encode_batch(lines)]
        block = torch.full((len(ids), max(map(len, ids))), PAD)
        for row, line in zip(block, ids, strict=True):
            row[: len(line)] = torch.tensor(line)
        generator = torch.Generator().manual_seed(recipe.seed)
        inputs, selected = mask(block, 0.15, recipe.vocabulary, generator, always=True)
        device = next(model.parameters()).device
        with torch.no_grad():
            loss, logits, labels = masked_loss(model, inputs.to(device), block.to(device), selected.to(device))
        target = block[selected].numpy()
        counts = Counter(i for e in tokenizer.encode_batch(train[f"ntrex/{name}"]) for i in e.ids[1:-1])
        counts_array = np.array([counts[i] for i in range(recipe.vocabulary)], dtype=float)
        unigram = min(
            float(-np.log((counts_array[target] + a) / (counts_array.sum() + a * recipe.vocabulary)).mean())
            for a in (0.003, 0.01, 0.03, 0.1)
        )
        rows[name] = {
            "loss": loss.item() / len(target),
            "unigram": unigram,
            "top1": (logits.argmax(-1) == labels).float().mean().item(),
        }
    mean = {key: float(np.mean([row[key] for row in rows.values()])) for key in ("loss", "unigram", "top1")}
    return {"mean": mean, "languages": rows}


def train_model(model, segments, recipe: Recipe, steps: int) -> list[tuple[int, float]]:
    """Train the model for `steps` steps with a linearly decaying learning rate; return pairs (step, running loss)."""
    device = next(model.parameters()).device
    adamw = optimizer(model, recipe)
    generator = torch.Generator().manual_seed(recipe.seed + 1)
    stream = batches(segments, recipe, recipe.seed + 2)
    started, curve, running, tokens = time.monotonic(), [], 0.0, 0
    for step in range(steps):
        block = torch.from_numpy(next(stream))
        inputs, selected = mask(block, recipe.mask_rate, recipe.vocabulary, generator)
        scale = min((step + 1) / (recipe.warmup * steps), 1.0) * (1 - step / steps)
        for group in adamw.param_groups:
            group["lr"] = recipe.learning_rate * scale
        loss, *_ = masked_loss(model, inputs.to(device), block.to(device), selected.to(device))
        loss = loss / selected.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        tokens += int((block != PAD).sum())
        running += (loss.item() - running) * max(0.03, 1 / (step + 1))
        if (step + 1) % 50 == 0:
            seconds = time.monotonic() - started
            curve.append((step + 1, round(running, 4)))
            print(f"step {step + 1}: {tokens / 1e6:.2f} M tokens, {seconds:.0f} s, loss {running:.3f}", flush=True)
    return curve


def export(model, out: Path) -> None:
    """Write float16 safetensors, the configuration, and the files that AutoTokenizer needs beside tokenizer.json."""
    model.config._attn_implementation = None
    model.half().save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    # transformers loads in the precision that is named here. Half precision only reduces the size of the file.
    (out / "config.json").write_text(json.dumps(config | {"dtype": "float32"}, indent=2, sort_keys=True) + "\n")
    named = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    named |= {"unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256, **named}
    (out / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=1) + "\n")


def main() -> None:
    """Parse the arguments, then train, evaluate and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=9_500)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change the recipe",
    )
    options = parser.parse_args()
    changes = dict(item.split("=", 1) for item in options.set)
    recipe = Recipe(**{k: type(getattr(Recipe, k))(json.loads(v)) for k, v in changes.items()})
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("medium")

    train, held_out, digest = read_corpus(options.data)
    tokenizer_file = options.out / "tokenizer.json"
    if not tokenizer_file.exists():
        train_tokenizer(train, recipe).save(str(tokenizer_file))
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    segments = encode(tokenizer, train, recipe)
    flat = [segment for group in segments.values() for segment in group]
    print(f"{len(flat)} segments, {sum(map(len, flat)) / 1e6:.1f} M tokens, data {digest[:12]}", flush=True)
    model = build_model(recipe, flat).to(options.device)
    curve = train_model(model, segments, recipe, options.steps)
    figures = evaluate(model.eval(), tokenizer, train, held_out, recipe)
    print(figures["mean"], flush=True)
    export(model, options.out)
    record = {"recipe": asdict(recipe), "data_digest": digest, "steps": options.steps, "curve": curve, **figures}
    (options.out / "training.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
