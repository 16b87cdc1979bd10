"""What `%config Kfwd.…` and `c.Kfwd.…` in `ipython_config.py` set: defaults of the magics.

They are an IPython configurable (traitlets, "Config API"), so that `%config Kfwd` lists them with
their help, and a value that cannot be is refused in a line.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from traitlets import Enum, TraitError, Unicode, validate
from traitlets.config import Configurable

from kfwd_nb.errors import ConfigError, KfwdError
from kfwd_nb.notebook.arguments.defaults import Defaults, Loop

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kfwd_nb.notebook.drawing.render import Form

Display = Literal["auto", "widget", "html", "text"]

AUTO: Form = "widget"
"""What `Kfwd.display = "auto"` means."""


class Kfwd(Configurable):
    """Defaults of `%portforward` and `%kfwd`; what a line says itself is always stronger."""

    namespace = Unicode(
        "", help="Namespace of targets where a line has no -n; empty: the context's own."
    ).tag(config=True)

    context = Unicode(
        "",
        help="Context of the kubeconfig where a line has neither --context nor --kubeconfig; "
        "empty: the current one.",
    ).tag(config=True)

    address = Unicode(
        "localhost",
        help="Local address that forwards listen on where a line has no --address. Other machines "
        "can reach anything else than the loopback.",
    ).tag(config=True)

    loop = Enum(
        get_args(Loop),
        "thread",
        help="Where forwards run if a line has no --loop: a thread of their own, which works while "
        "a cell blocks, or the kernel's loop, for cells that only await.",
    ).tag(config=True)

    display = Enum(
        get_args(Display),
        "auto",
        help="The form of tables and results: a widget, HTML with text beside it, or text alone "
        "(for a frontend or a converter that shows no HTML). auto: the best that there is.",
    ).tag(config=True)

    link = Unicode(
        "",
        help="URL under which your browser reaches a local port of this machine, with {port} for "
        "its number, as in https://hub.example/user/me/proxy/{port}/; empty: found out by itself.",
    ).tag(config=True)

    @validate("address")
    def _check_address(self, proposal: Any) -> str:
        address: str = proposal.value.strip()
        if not address or "," in address:
            raise TraitError(
                f"Kfwd.address = {proposal.value!r}: use localhost, or one address of this machine."
            )
        return address

    @validate("link")
    def _check_link(self, proposal: Any) -> str:
        link: str = proposal.value.strip()
        if link and "{port}" not in link:
            raise TraitError(
                f"Kfwd.link = {proposal.value!r}: a URL needs {{port}} where the number goes."
            )
        try:
            set_link_template(link)
        except KfwdError as error:
            raise TraitError(f"Kfwd.link = {proposal.value!r}: {error.what}") from None
        return link

    def defaults(self) -> Defaults:
        """What a line is read with."""
        return Defaults(
            namespace=self.namespace or None,
            context=self.context or None,
            address=self.address,
            loop=cast("Loop", self.loop),
        )

    @property
    def form(self) -> Form:
        """The form that outputs have now."""
        return AUTO if self.display == "auto" else cast("Form", self.display)


def made_for(shell: InteractiveShell) -> Kfwd:
    """New settings, with what the shell's configuration files say.

    Raises:
        ConfigError: a value there cannot be.
    """
    try:
        return Kfwd(parent=shell)
    except TraitError as error:
        raise ConfigError(
            str(error), hint="it comes from ipython_config.py, or from the command line."
        ) from None


def settings_of(shell: InteractiveShell | None) -> Kfwd:
    """The settings of a shell; the defaults of the defaults where the extension is not loaded."""
    known = configurables(shell) if shell is not None else ()
    return next((each for each in known if isinstance(each, Kfwd)), None) or Kfwd()


def wanted_form(shell: InteractiveShell | None) -> Form:
    """The form of what is shown in this shell now. The one place that decides it."""
    return settings_of(shell).form


def configurables(shell: InteractiveShell) -> list[Configurable]:
    """What `%config` knows, to add to and to take from; IPython's own hint of its type is wrong."""
    return cast("list[Configurable]", shell.configurables)


def set_link_template(template: str) -> None:
    """Tell who makes links, where there is one.

    Raises:
        KfwdError: it can be no link.
    """
    try:
        links = importlib.import_module("kfwd_nb.client.browser.links")
    except ModuleNotFoundError:
        return
    links.set_template(template)
