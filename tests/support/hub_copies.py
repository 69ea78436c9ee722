"""Local copies of data sets in the layout that the Hub gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from datasets import Dataset, Features
from pyarrow import parquet

Rows = Sequence[Mapping[str, Any]]


def write_copy(root: Path, configs: Mapping[str, Mapping[str, Rows]], features: Features | None = None) -> Path:
    """Write {configuration: {split: rows}} as Parquet files with a card that lists them, and return the folder.

    Args:
        root: The folder, which is created.
        configs: The rows of each split of each configuration.
        features: Declarations of the columns, which the files then contain, like those on the Hub.
    """
    card = ["---", "configs:"]
    for config, splits in configs.items():
        (root / config).mkdir(parents=True)
        card += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            file = root / config / f"{split}-00000-of-00001.parquet"
            if features is None:
                pd.DataFrame(list(rows)).to_parquet(file)
            else:
                table = Dataset.from_list(list(rows), features=features).with_format("arrow")[:]
                parquet.write_table(table.replace_schema_metadata(features.arrow_schema.metadata), file)
            card += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    (root / "README.md").write_text("\n".join([*card, "---", ""]), encoding="utf-8")
    return root
