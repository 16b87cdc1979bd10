"""What `%load_ext kfwd_nb` adds to a shell, and `%unload_ext` takes back."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from kfwd_nb.notebook.cell import FoldIntoBlock, replace_first_line
from kfwd_nb.notebook.completion import Completer
from kfwd_nb.notebook.drawing.render import in_form, link_html
from kfwd_nb.notebook.kfwd import KfwdMagics
from kfwd_nb.notebook.live import follower
from kfwd_nb.notebook.portforward import PortforwardMagics, show_forward
from kfwd_nb.notebook.settings import Kfwd, configurables, made_for, wanted_form
from kfwd_nb.notebook.shown import Shown

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kfwd_nb.client.tracing.playback import Playback
    from kfwd_nb.client.tracing.trace import Trace
    from kfwd_nb.notebook.drawing.render import Bundle

MAGICS = ("portforward", "kfwd")

LINK = ("kfwd_nb.client.browser.links", "Link")
"""Module and name of what `fwd.link` is."""

TRACE = ("kfwd_nb.client.tracing.trace", "Trace")
PLAYBACK = ("kfwd_nb.client.tracing.playback", "Playback")
"""Those of what `fwd.trace()` and `trace.play()` return."""


class Extension:
    """Everything that one shell was given.

    Args:
        shell: the IPython shell.
        settings: what `%config Kfwd` shows and sets.
    """

    def __init__(self, shell: InteractiveShell, settings: Kfwd) -> None:
        self._shell = shell
        self._settings = settings
        self._shown = Shown(shell, partial(show_forward, shell))
        self._completer = Completer(shell)
        self._fold = FoldIntoBlock()

    def load(self) -> None:
        """Add the magics, their settings, the completion, the display of forwards; silently."""
        configurables(self._shell).append(self._settings)
        self._shell.register_magics(PortforwardMagics(self._shell, self._shown))
        self._shell.register_magics(KfwdMagics(self._shell, self._shown))
        self._shell.input_transformers_cleanup.append(replace_first_line)
        self._shell.ast_transformers.append(self._fold)
        self._shown.register()
        self._html().for_type_by_name(*LINK, link_html)
        self._bundles().for_type_by_name(*TRACE, self._bundle)
        self._bundles().for_type_by_name(*PLAYBACK, self._bundle)
        self._completer.register()
        self._shell.events.register("post_run_cell", _settle)

    def unload(self) -> None:
        """Take all of it back, and stop the forwards unless this is a `%reload_ext`."""
        configurables(self._shell).remove(self._settings)
        for magics in self._shell.magics_manager.magics.values():
            for name in MAGICS:
                magics.pop(name, None)
        self._shell.input_transformers_cleanup.remove(replace_first_line)
        self._shell.ast_transformers.remove(self._fold)
        self._shown.unregister()
        self._html().pop(".".join(LINK), None)
        for home in (TRACE, PLAYBACK):
            self._bundles().pop(".".join(home), None)
        self._completer.unregister()
        self._shell.events.unregister("post_run_cell", _settle)
        self._shell.events.register("post_run_cell", self._leave)

    def _html(self) -> Any:
        formatter = self._shell.display_formatter
        assert formatter is not None
        return formatter.formatters["text/html"]

    def _bundles(self) -> Any:
        formatter = self._shell.display_formatter
        assert formatter is not None
        return formatter.mimebundle_formatter

    def _bundle(self, thing: Trace | Playback) -> Bundle:
        from kfwd_nb.notebook.drawing.bundles import bundle_of

        return in_form(bundle_of(thing), wanted_form(self._shell))

    def _leave(self, _: object) -> None:
        """At the end of the cell that unloaded; by then `%reload_ext` has loaded again."""
        self._shell.events.unregister("post_run_cell", self._leave)
        client = sys.modules.get("kfwd_nb.client")
        if client is None or id(self._shell) in _loaded:
            return
        for forward in client.forwards():
            forward.stop("kfwd_nb was unloaded")
        follower.close()


def _settle(_: object) -> None:
    """At the end of each cell."""
    follower.settle()


_loaded: dict[int, Extension] = {}
"""By `id` of the shell: a process has one, tests have more."""


_settings: dict[int, Kfwd] = {}
"""By `id` of the shell, which keeps what `%config` set for as long as it lives; so do we."""


def load(shell: InteractiveShell) -> None:
    """Load into a shell; a second time changes nothing.

    Raises:
        ConfigError: a setting of the user's cannot be.
    """
    if id(shell) not in _loaded:
        settings = _settings.get(id(shell)) or made_for(shell)
        _settings[id(shell)] = settings
        extension = Extension(shell, settings)
        extension.load()
        _loaded[id(shell)] = extension


def unload(shell: InteractiveShell) -> None:
    """Unload from a shell; nothing happens where it was not loaded."""
    extension = _loaded.pop(id(shell), None)
    if extension is not None:
        extension.unload()
