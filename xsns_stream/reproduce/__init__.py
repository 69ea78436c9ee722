"""Reproduction of the paper's tables and figures.

A recipe (`recipes/`) consists of command lines of the other verbs and a function that renders a page from their
outputs. `running` runs the steps that are not done. This package does not import the command line; the caller passes a
function that runs a verb.
"""
