"""The paper's tables and figures as recipes: command lines of the other verbs, and what is made of their outputs.

A recipe is data and a render function (`recipes/`); `running` runs what is not done yet. Nothing here imports the
command line: the runner is given a function that runs a verb.
"""
