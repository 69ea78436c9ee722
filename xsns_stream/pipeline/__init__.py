"""Plan and run a build: the only place where the stages meet.

corpus → sample → encoded examples → Fisher → sub-networks → store, one (language, seed) row at a time. A row is
committed when it is finished and skipped when it is there, so that running again is resuming. What goes wrong with
one language's text or gradients is noted and the others go on; what goes wrong with the model or the store ends the
run, because it would go wrong for all.

* `settings`: what to measure, and how. `events`: what is told on the way.
* `building`: the loop over rows. `reading`: the next row's text meanwhile.
* `sharing`: what several processes divide between them, rows of a build or units of a transfer.
* `baselines`, with `baseline_settings`, `baseline_parts` and `token_states`: other predictors from the same examples.
* `measuring`: one row. `memory`: what fits. `reliability`: how repeatable it is.
"""
