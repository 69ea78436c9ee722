# %% [markdown]
# # Fisher information for pruning and merging
#
# `xs.diagonal_fisher` measures how much the log-likelihood of text depends on each parameter of a model. No
# languages, stores or rankings are needed. This page uses it twice: to decide which weights of a small model can be
# removed, and to average two fine-tuned copies of the model. Every figure is a loss on sentences that were not used
# for anything else.
#
# It needs no network and takes about half a minute on one core.

# %%
import copy

import torch
from torch.utils.data import DataLoader
from transformers import DataCollatorForLanguageModeling

import xsns_stream as xs

torch.manual_seed(0)
loaded = xs.load_model("mini")
model, tokenizer = loaded.model.eval(), loaded.tokenizer

# %% [markdown]
# ## Text and masks
#
# A DataLoader with the collator of transformers gives the batches. The collator masks other tokens each time, so that
# the batches are kept in a list. It may mask no token of a short sentence, which then has no Fisher information:
# `diagonal_fisher` refuses it, so that only sentences of more than 80 characters are used.

# %%
news, known_news = xs.open_corpus("ntrex:held-out"), xs.open_corpus("ntrex")


def masked(texts, seed):
    """Return batches of masked sentences."""
    encoded = [tokenizer(text, truncation=True, max_length=40) for text in texts]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, seed=seed)
    return list(DataLoader(encoded, batch_size=16, collate_fn=collator))


def long_sentences(corpus, language, count):
    """Return sentences of one language with more than 80 characters."""
    texts = [example.text for example in corpus.sample(language, 192, seed=0).examples]
    return [text for text in texts if len(text) > 80][:count]


def loss(of, data):
    """Return the mean loss of a masked token, in nats."""
    total = count = 0.0
    with torch.no_grad():
        for batch in data:
            scored = int((batch["labels"] != -100).sum())
            total, count = total + float(of(**batch).loss) * scored, count + scored
    return total / count


for_fisher = masked(long_sentences(known_news, "sw", 64), seed=1)
unseen_swahili = masked(long_sentences(news, "sw", 64), seed=2)
print(f"the whole model: {loss(model, unseen_swahili):.3f} nats")

# %% [markdown]
# ## Pruning
#
# If a weight w is set to zero, the loss changes by about f w² / 2, where f is its Fisher information (the first two
# terms of the Taylor series at a minimum). Magnitude pruning takes |w| alone, and random pruning takes nothing into
# account. All three remove the same number of weights of the matrices in the blocks of the transformer.

# %%
SHARES = (0.3, 0.6)
fisher = xs.diagonal_fisher(model, for_fisher, language="sw")
print(fisher)
values = fisher.to_dict()
matrices = {name: weight.detach() for name, weight in model.named_parameters() if name in values and weight.dim() == 2}
importance = {
    "Fisher": {name: values[name] * weight**2 for name, weight in matrices.items()},
    "magnitude": {name: weight.abs() for name, weight in matrices.items()},
    "random": {name: torch.rand_like(weight) for name, weight in matrices.items()},
}


def pruned(of, scores, share):
    """Return a copy of a model without the given share of the weights with the smallest scores."""
    smaller = copy.deepcopy(of)
    flat = torch.cat([each.flatten() for each in scores.values()])
    threshold = flat.kthvalue(int(share * len(flat))).values
    with torch.no_grad():
        for name, weight in smaller.named_parameters():
            if name in scores:
                weight[scores[name] <= threshold] = 0
    return smaller


after_pruning = {
    (way, share): loss(pruned(model, scores, share), unseen_swahili)
    for way, scores in importance.items()
    for share in SHARES
}
for way in importance:
    losses = "  ".join(f"{share:.0%} removed: {after_pruning[way, share]:.3f}" for share in SHARES)
    print(f"{way:>9}  {losses}")

# %% [markdown]
# ## Merging
#
# Two copies of the model are fine-tuned, one on Swahili and one on Finnish, on sentences that the model has not seen.
# A merged model should do both. Plain averaging takes the mean of the two weights. Fisher-weighted averaging (Matena
# and Raffel, 2022) weights each of them by its Fisher information: a weight that matters to one model only is taken
# mostly from this model. The Fisher values are those of the blocks; all other parameters are averaged plainly.


# %%
def sentences(language):
    """Return two lists of sentences of one language that the model has not seen, for training and for testing."""
    texts = [example.text for example in news.sample(language, 100, seed=0).examples if len(example.text) > 80]
    return texts[:-24], texts[-24:]


def fine_tuned(texts, epochs=2):
    """Return a copy of the model that was trained on some sentences, with other masks in each epoch."""
    tuned = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(tuned.parameters(), lr=2e-4)
    for epoch in range(epochs):
        for batch in masked(texts, seed=epoch):
            optimizer.zero_grad()
            tuned(**batch).loss.backward()
            optimizer.step()
    return tuned.eval()


MASKS = (1, 2)  # two draws of masks, to see how much the losses depend on them
train, test = {}, {}
for language in ("sw", "fi"):
    train[language], unseen = sentences(language)
    test[language] = [masked(unseen, seed) for seed in MASKS]
tuned = {language: fine_tuned(texts) for language, texts in train.items()}
information = {
    language: xs.diagonal_fisher(each, masked(train[language], seed=9), language=language).to_dict()
    for language, each in tuned.items()
}


def merged(weights):
    """Return the average of the fine-tuned models, with a weight for each parameter of each model."""
    result = copy.deepcopy(model)
    parameters = {language: dict(each.named_parameters()) for language, each in tuned.items()}
    with torch.no_grad():
        for name, parameter in result.named_parameters():
            parts = [(weights[language].get(name, 1.0), parameters[language][name]) for language in tuned]
            parameter.copy_(sum(weight * value for weight, value in parts) / sum(weight for weight, _ in parts))
    return result


# The small constant decides where neither model has any information.
floored = {language: {name: each + 1e-6 for name, each in values.items()} for language, values in information.items()}
models = {"before": model, "tuned on sw": tuned["sw"], "tuned on fi": tuned["fi"]}
models |= {"plain average": merged({language: {} for language in tuned}), "Fisher-weighted": merged(floored)}
after_merging = {
    name: {language: [loss(each, batches) for batches in test[language]] for language in tuned}
    for name, each in models.items()
}
means = {name: {language: sum(x) / len(x) for language, x in losses.items()} for name, losses in after_merging.items()}
for name, losses in means.items():
    print(f"{name:>15}  sw {losses['sw']:.3f}  fi {losses['fi']:.3f}  mean {sum(losses.values()) / 2:.3f}")

# %% [markdown]
# Is one average better than the other? The same sentences are compared under two draws of masks. If the sign of the
# difference depends on the draw, or the difference is small beside that between the draws, these sentences do not
# tell.

# %%
differences = [
    sum(after_merging["Fisher-weighted"][x][draw] - after_merging["plain average"][x][draw] for x in tuned) / len(tuned)
    for draw in range(len(MASKS))
]
print("Fisher-weighted minus plain average, for each draw:", ", ".join(f"{each:+.4f}" for each in differences))
