"""`kfwd_nb.Dashboard()`: all forwards of a kernel, to see and to handle with the mouse.

`widget` hears the browser and tells it what has changed; `state` makes rows of forwards, and what
changed between two looks (pure); `choices` is what there is to forward to; `actions` start, stop
and restart; `questions` keeps what pages were told, for those who have not heard it (pure);
`history` is the throughput of the last minutes (pure). `page/` is what the browser runs: modules,
of which `dashboard.js` is the first, and a style sheet; `script` makes one text of the modules.
"""

from __future__ import annotations

from kfwd_nb.notebook.dashboard.widget import Dashboard

__all__ = ["Dashboard"]
