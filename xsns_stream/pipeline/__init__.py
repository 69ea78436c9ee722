"""Public functions that combine the stages: build, rank, compare, evaluate, baselines and fine-tuning.

The command line and :mod:`xsns_stream` call the same functions. A build measures rows one after another; a row is one
language with one seed: corpus → sample → encoded examples → Fisher values → sub-networks → store. A finished row is
committed; another run of the build skips it. An error in the text or the gradients of one language is recorded, and the
other languages continue; an error of the model or the store ends the run, because every row would raise it.

* `build`: the function; `settings`: its settings; `run_build`: the loop over rows; `rows`: text and commit of a row;
  `measure`: Fisher values of a row.
* `baselines`: the function, and baselines from tables; `text_baselines`: text and model of the others; `stored_text`:
  those of a store; `model_baselines`: the pass over the text; `baseline_values`: what each baseline collects;
  `requested_languages`: sources and targets that a matrix should have.
* `finetune`: the function; `run_transfer`: the loop over units; `finetune_settings`, `finetune_data`; `units`: units
  on disk, and the table of their scores.
* `store_rows`: copy, merge, prune and export of rows.
* `source_ranking`, `comparison`, `gold_comparison`, `predictors`, `row_selection`, `inspection`: functions that read
  stores and matrices.
* `events` and `progress`: events during the work, and their display; `scheduling`: work that processes share.
"""
