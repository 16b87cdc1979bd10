"""Ordinary users of this machine: with user namespaces, or, as on Binder, without."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class OrdinaryUser:
    """A user of this machine who is not root, with a Python and a home of their own.

    Attributes:
        python: an interpreter with kfwd_nb that this user can run.
        home: an empty folder of theirs; TMPDIR too.
        prefix: words before any command.
        variables: more of their environment.
    """

    python: Path
    home: Path
    prefix: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command as this user, in a session of its own, with pipes for its output."""
        environment = {
            "PATH": f"{self.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "LANG": "C.UTF-8",
            **self.variables,
        }
        return subprocess.Popen(
            [*self.prefix, *words],
            **{
                "env": environment,
                "cwd": self.home,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                "user": NOBODY,
                "group": NOBODY,
                "extra_groups": [],
                "start_new_session": True,
                **options,
            },
        )


NOBODY = 65534

LOSE_NAMESPACES = """
echo 0 >/proc/sys/user/max_user_namespaces
echo 0 >/proc/sys/user/max_net_namespaces
exec setpriv --inh-caps=-all --ambient-caps=-all --no-new-privs "$@"
"""

NO_NAMESPACES = (
    *("unshare", "-U", "--map-user=1000", "--keep-caps"),
    *("sh", "-c", LOSE_NAMESPACES, "sh"),
)
"""A user who may make no namespaces, as on Binder: those limits hold in a user namespace of their
own, in which they have lost all capabilities."""
