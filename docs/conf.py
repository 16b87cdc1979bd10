"""Sphinx' configuration: `make docs` builds the site into `docs/_build`."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from kfwd_nb import __version__

# The tutorials are pages, too. Sphinx reads only what is below its own folder: a copy, made anew,
# in which each notebook says that its cells are IPython's, and each `%%recorded` cell has its
# recording.
TUTORIALS = HERE / "tutorials"
shutil.rmtree(TUTORIALS, ignore_errors=True)
shutil.copytree(ROOT / "notebooks", TUTORIALS, ignore=shutil.ignore_patterns(".*"))
for path in TUTORIALS.glob("*.ipynb"):
    notebook = json.loads(path.read_text())
    notebook["metadata"]["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for cell in notebook["cells"]:
        if found := re.match(r"%%recorded (\S+)", "".join(cell["source"])):
            where, _, said = (TUTORIALS / "recorded" / found[1]).read_text().partition("\n")
            text = f"{said.rstrip()}\n({where})\n"
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]
    path.write_text(json.dumps(notebook))

project = "kfwd_nb"
project_copyright = "the kfwd_nb maintainers"
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference"]
exclude_patterns = ["_build", "jupyter_execute"]
templates_path: list[str] = []

# -- notebooks and Markdown ---------------------------------------------------------------------

nb_execution_mode = "off"  # shown as they are committed; tests execute them
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

# -- what comes from docstrings -----------------------------------------------------------------

default_role = "code"  # docstrings mark code as Markdown does
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# Names of other projects, whose documentation is not at hand when the site is built; type
# variables, and what stands in signatures only: nothing describes them.
FOREIGN = (
    r"argparse|asyncio|collections|concurrent|contextlib|httpx|httpcore|ipywidgets|anywidget|pandas|pd"
    r"|pathlib|requests|socket|ssl|traitlets|types|typing|IPython|msgspec"
)
INNER = (
    r"t\.Any|T|EventKind|Tunnel|Layer|Direction|ForwardParameters|Wire|Step|Seen|ClusterAccess|Target"
    r"|Frame|ClusterOptions|Displayable|Pod"
)
nitpick_ignore_regex = [
    (r"py:.*", rf"({FOREIGN})\b.*"),
    (r"py:class", rf"(kfwd_nb\.[\w.]+\.)?({INNER})"),
]

# -- how it looks -------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"kfwd_nb {release}"
html_static_path = ["pictures"]
html_show_sphinx = False
smartquotes = False  # options begin with two hyphens
html_copy_source = False
pygments_style = "default"
pygments_dark_style = "github-dark"
highlight_language = "ipython3"
