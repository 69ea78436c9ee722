"""Public functions for builds, rankings, comparisons, evaluation, baselines and fine-tuning.

The command line and :mod:`xsns_stream` call these functions. A build measures rows one after another; a row is one
language with one seed: corpus → sample → encoded examples → Fisher values → sub-networks → store. Each row is
committed when it is finished, and another run of the build skips it. An error in the text or the gradients of one
language is recorded, and the other languages are still measured. An error of the model or the store ends the run,
because every row would raise it.

* `build`: the function `build`; `settings`: its settings; `run_build`: the loop over rows; `rows`: text and commit of a
  row; `measure`: Fisher values of a row; `repeatability`: its halves, folds and stability curve.
* `baselines`: the function `baseline`, and baselines from tables; `text_baselines`: text and model of baselines from
  text; `stored_text`: the text and model that a store records; `model_baselines`: definitions and settings of baselines
  from text; `baseline_run`: the pass over the text; `baseline_values`: the values that each baseline collects;
  `requested_languages`: sources and targets that a matrix should have.
* `finetune`: the function `transfer`; `run_transfer`: the loop over units; `finetune_settings` and `finetune_data`:
  settings and labelled data; `units`: units on disk, and the table of their scores.
* `store_rows`: copy, merge, prune and export of rows.
* `source_ranking`, `comparison`, `shared_parameters`, `gold_comparison`, `report`, `inspection`: functions that read
  stores and matrices; `predictors`, `row_selection`, `expected_scores`: their steps.
* `events`: events that a run reports; `progress`: their display; `scheduling`: work that processes share.
"""
