"""`python -m kfwd_nb.cli`, where the command `kfwd` is not on the path."""

from __future__ import annotations

import sys

from kfwd_nb.cli.command import main

sys.exit(main())
