"""Reproduction of the paper's tables and figures.

A recipe (in `recipes/`) consists of steps, which are command lines of the other verbs, and of a function that renders a
page from the outputs of the steps. The module `running` runs the steps that are not done. This package does not import
`xsns_stream.cli`; the caller passes a function that runs a verb.
"""
