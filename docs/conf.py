"""Configuration of the documentation site; `make docs` builds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
# The extensions of the site are beside this file.
sys.path.insert(0, str(HERE / "_extensions"))
# Autodoc imports the package; nothing that it imports may use the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from xsns_stream import __version__  # noqa: E402 — after the environment is set

project = "xsns-stream"
author = "The xsns-stream authors"
copyright = author  # noqa: A001 — the name that Sphinx reads
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "repository_links",
    "docstring_text",
    "public_names",
    "json_schemas",
    "accessibility",
]
exclude_patterns = ["_build", "_extensions"]
# In docstrings and help texts, `name` is code.
default_role = "code"
# Dashes only: a straight quote in a help text is the character that is meant.
smartquotes_action = "D"

# ------------------------------------------------------------------------------------------------ pages
myst_enable_extensions = ["attrs_inline", "colon_fence"]
# The anchors that GitHub gives to headings; a link to an anchor that does not exist is a warning, hence an error.
myst_heading_anchors = 5
# ```py and ```console are highlighted; a block that cannot be parsed as its language is a warning.
highlight_language = "text"

# -------------------------------------------------------------------------------------------- docstrings
napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True

# -------------------------------------------------------------------------------------------------- HTML
html_theme = "furo"
html_title = "xsns-stream"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
