"""What the rows of a store were made of, as the record of a predictor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SimilarityMatrix
    from xsns_stream.types.predictor_records import PredictorRecord


def record_of_store(
    rows: SubNetworkStore, languages: Sequence[str], seeds: Sequence[int], density: float, coefficient: str
) -> PredictorRecord:
    """Return what the sub-networks of some languages were made of.

    Args:
        rows: The store.
        languages: Codes of its rows.
        seeds: Seeds of its rows.
        density: Density of its rows.
        coefficient: What is computed from them.
    """
    from xsns_stream.types import Provenance
    from xsns_stream.types.predictor_records import DrawnText, PredictorRecord

    wanted = {(language, seed, density) for language in languages for seed in seeds}
    texts: dict[str, dict[int, DrawnText]] = {}
    for record in rows.records():
        if (record.language, record.seed, record.density) in wanted:
            made = record.provenance
            drawn = DrawnText(record.language, made.corpus_digest, made.examples)
            texts.setdefault(record.language, {})[record.seed] = drawn
    shared = Provenance.from_json(rows.experiment)
    return PredictorRecord(
        coefficient,
        model=shared.model,
        weights_digest=shared.weights_digest,
        tokenizer_digest=shared.tokenizer_digest,
        corpus=shared.corpus,
        examples_asked=shared.examples_asked,
        seeds=tuple(seeds),
        objective=shared.objective,
        max_length=longest_of(shared.objective),
        texts=texts,
        settings={"estimator": shared.estimator, "stopping": shared.stopping, "density": density},
    )


def with_record(matrix: SimilarityMatrix, rows: SubNetworkStore, density: float) -> SimilarityMatrix:
    """Return the similarities of a store's rows with the record of what these were made of."""
    both = tuple(dict.fromkeys((*matrix.sources, *matrix.targets)))
    return replace(matrix, record=record_of_store(rows, both, matrix.seeds, density, matrix.coefficient))


def longest_of(objective: str) -> int:
    """Return `max_length` of an objective as it is recorded, `masked-lm(rate=0.15,max_length=128)`; 0 for none."""
    found = re.search(r"max_length=(\d{1,9})\b", objective)
    return int(found[1]) if found else 0
