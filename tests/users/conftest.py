"""An ordinary user of this machine, with an installation that this user can read.

The interpreter of the tests may lie in root's home, which is closed to others, so the installation
is made with the system's own Python, outside of it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

USER = "nobody"
PROJECT = Path(__file__).parents[2]

# What an unprivileged container such as Binder's does not have: other users and namespaces.
WITHOUT_NAMESPACES = """
echo 0 > /proc/sys/user/max_user_namespaces
echo 0 > /proc/sys/user/max_net_namespaces
exec setpriv --inh-caps=-all --ambient-caps=-all --no-new-privs "$@"
"""


@dataclass(frozen=True)
class OrdinaryUser:
    """Runs programs as `USER`, in an empty environment with a home of its own."""

    python: Path
    home: Path

    def run(self, *arguments: str, namespaces: bool = True) -> subprocess.CompletedProcess[str]:
        around = ["runuser", "-u", USER, "--", "env", "-i", f"HOME={self.home}"]
        around += [f"TMPDIR={self.home}", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]
        if not namespaces:
            around += ["unshare", "--user", "--map-user=1000", "--keep-caps"]
            around += ["sh", "-euc", WITHOUT_NAMESPACES, "sh"]
        return subprocess.run(
            [*around, str(self.python), *arguments],
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="session")
def ordinary_user() -> Iterator[OrdinaryUser]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    python = shutil.which("python3", path="/usr/bin:/bin")
    assert python is not None, "install python3 and python3-venv"
    folder = Path(tempfile.mkdtemp(prefix="kfwd-user-", dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
        pip = [folder / "venv/bin/python", "-m", "pip", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, "--quiet", str(PROJECT), "psycopg[binary]"], check=True)
        home = folder / "home"
        home.mkdir(mode=0o700)
        shutil.chown(home, USER, pwd.getpwnam(USER).pw_gid)
        yield OrdinaryUser(folder / "venv/bin/python", home)
    finally:
        shutil.rmtree(folder)
