"""The command `kfwd`: the same engine as in a notebook, in a terminal.

kfwd port-forward [-n NS] [--context C] [--kubeconfig F] [--address A] TARGET PORT...
kfwd cluster up [-f FILE] [--nodes N] [--isolation ...] [--connector ...] [--kubeconfig PATH]
"""

from __future__ import annotations

from kfwd_nb.cli.command import main

__all__ = ["main"]
