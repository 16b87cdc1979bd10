"""`%%recorded FILE`: a cell of a tutorial that not every place allows.

Where the place has what the cell needs, the cell simply runs. Elsewhere the recording of a real run
is shown, with where it was made, and the notebook goes on. For the notebooks that come with the
project: `%load_ext kfwd_nb.notebook.recorded`. A recording is a text file beside the notebook whose
first line says where it was made.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, cell_magic, magics_class

from kfwd_nb.agent.isolation import probe, refusal
from kfwd_nb.cluster.workload import database_user, has_postgres
from kfwd_nb.errors import UsageError
from kfwd_nb.notebook.arguments.line import split
from kfwd_nb.notebook.arguments.parser import Parser
from kfwd_nb.notebook.drawing.render import Sheet
from kfwd_nb.notebook.output import Output
from kfwd_nb.notebook.results import Result

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

NAMESPACES, USER_NAMESPACES, POSTGRESQL = "namespaces", "user-namespaces", "postgresql"
"""What a cell can need besides programs on the PATH: pods that have namespaces, namespaces that
anybody can make, a database."""

FOLDER = "recorded"


@dataclass(frozen=True, repr=False)
class Recording(Result):
    """What a cell has said elsewhere."""

    where: str
    missing: str
    said: str

    def sheet(self) -> Sheet:
        """Why it is not live, where it was made, what was said."""
        title = f"a recording: this cell needs {self.missing}, which this place does not have"
        return Sheet(title, (self.where,), code=(self.said,))


def is_here(need: str) -> bool:
    """This place has, or allows, what a cell needs."""
    if need == NAMESPACES:
        return probe().isolation != "loopback"
    if need == USER_NAMESPACES:
        return refusal("userns") is None
    if need == POSTGRESQL:
        return has_postgres() and database_user() is not None
    return shutil.which(need) is not None


def read(path: Path) -> tuple[str, str]:
    """(where it was made, what was said) of a recording.

    Raises:
        UsageError: there is none.
    """
    try:
        where, _, said = path.read_text().partition("\n")
    except OSError as error:
        hint = "recordings are in the folder of the notebooks; start the notebook there."
        raise UsageError(f"no recording {path}: {error.strerror}.", hint=hint) from None
    return where, said.rstrip("\n")


@magics_class
class RecordedMagics(Magics):
    """`%%recorded`."""

    @cell_magic
    def recorded(self, line: str, cell: str) -> None:
        """Run the cell, or show what it has said elsewhere.

        ::

            %%recorded FILE [--needs namespaces|user-namespaces|postgresql|PROGRAM]...
        """
        parser = Parser(prog="%%recorded")
        parser.add_argument("file")
        parser.add_argument("--needs", action="append", default=[])
        given = parser.parse_args(split(line))
        lacking = [each for each in given.needs if not is_here(each)]
        if lacking:
            where, said = read(Path(FOLDER, given.file))
            Output().show(Recording(where, " and ".join(lacking), said).bundle())
            return
        shell = self.shell
        assert shell is not None
        result = shell.run_cell(cell, store_history=False)  # type: ignore[no-untyped-call]
        if not result.success:
            raise UsageError("the cell has failed; see above.")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magic."""
    shell.register_magics(RecordedMagics)
