"""Helpers that several kinds of tests share.

pytest imports tests by their path from the root of the repository (`--import-mode=importlib`), so that test files say
`from tests.support import …` although no folder of the repository is on the search path of Python.
"""
