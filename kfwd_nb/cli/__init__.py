"""The command `kfwd`: the same engine as in a notebook, in a terminal.

kfwd [port-forward] [-n NS] [--context C] [--dialect D] [-v] [-o json] ... TARGET PORT...
kfwd cluster up [-f FILE] [--nodes N] [--isolation ...] [--connector ...] [--kubeconfig PATH]
kfwd agent --cri URL --relay HOST:PORT ...
kfwd completion bash|zsh|fish

Installed as `kubectl-kfwd`, too, which makes it `kubectl kfwd ...`.
"""

from __future__ import annotations

from kfwd_nb.cli.command import main

__all__ = ["main"]
