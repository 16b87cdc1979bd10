"""`%kfwd`: the embedded cluster, and a look at what a cluster holds."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from IPython.core.magic import Magics, line_magic, magics_class

from kfwd_nb.cluster.options import Options
from kfwd_nb.errors import ClusterError, KfwdError
from kfwd_nb.notebook.arguments.fault import FaultOptions
from kfwd_nb.notebook.arguments.kfwd import parse_kfwd
from kfwd_nb.notebook.arguments.line import asks_for_help
from kfwd_nb.notebook.arguments.listing import ListOptions
from kfwd_nb.notebook.arguments.nsenter import EnterOptions
from kfwd_nb.notebook.embedded import Lost, embedded
from kfwd_nb.notebook.live import follower
from kfwd_nb.notebook.notice import Notice
from kfwd_nb.notebook.output import Output
from kfwd_nb.notebook.settings import settings_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kfwd_nb.agent.config import Isolation
    from kfwd_nb.cluster import MiniCluster
    from kfwd_nb.notebook.results import (
        ClusterDown,
        ClusterStatus,
        ClusterUp,
        Done,
        Entered,
        PodList,
        Result,
        ServiceList,
    )
    from kfwd_nb.notebook.shown import Shown


D = TypeVar("D", bound="Done")


@magics_class
class KfwdMagics(Magics):
    """Everything around forwards.

    Args:
        shell: the IPython shell.
        shown: sees to it that nothing is shown twice.
    """

    def __init__(self, shell: InteractiveShell, shown: Shown) -> None:
        super().__init__(shell)
        self._shell = shell
        self._shown = shown

    @line_magic
    def kfwd(self, line: str) -> Result | None:
        """Start a small cluster to forward to, and look at what a cluster holds.

        ::

            %kfwd up [-f FILE] [--nodes N]       start an embedded cluster, wait for its pods
            %kfwd down                           end it; nothing is left of it
            %kfwd status                         which cluster the magics use now
            %kfwd pods [-n NS] [-A]              its pods, with the line that forwards each
            %kfwd services [-n NS] [-A]          its services, with the line that forwards them
            %kfwd nsenter POD -- COMMAND...      run a command in a pod's network namespace
            %kfwd fault VERB WHERE               break a part of the embedded cluster (see below)

        `up` also takes `--isolation auto|netns|userns|loopback` (how pods are kept apart; auto
        takes the best that this machine allows, and says which) and `--connector netns|socat` (how
        the node agent enters a pod). FILE holds Kubernetes manifests. All that look at a cluster
        take `--context C` and `--kubeconfig FILE`, for another one than the magics use now;
        `%config Kfwd` shows the defaults, and how to set your own.

        ::

            %kfwd fault                          the faults that last
            %kfwd fault kill POD                 end a pod's processes; they are started again
            %kfwd fault replace POD              delete a pod; its Deployment makes another
            %kfwd fault stop NODE                stop a node's agent, until `continue NODE`
            %kfwd fault cut NODE                 cut its link to the relay, until `mend NODE`
            %kfwd fault refuse POD PORT          nobody listens there; until `mend POD PORT`
            %kfwd fault reset POD PORT           each new connection is reset
            %kfwd fault stall POD PORT           of each new connection nothing is read
            %kfwd fault --clear                  end all faults; `%kfwd down` does so, too

        POD is what `%portforward` takes (`web`, `svc/api`), and means the pod that a new forward
        would lead to; NODE is `node/node-1`.
        """
        if asks_for_help(line):
            self._shell.run_line_magic("pinfo", "%kfwd")
            return None
        defaults = settings_of(self._shell).defaults()
        command, options = parse_kfwd(line, self._shell.user_ns, defaults)
        embedded.notice()
        follower.refresh()
        match options:
            case Options():
                return self._up(options)
            case None:
                return self._down()
            case EnterOptions():
                return self._nsenter(options)
            case FaultOptions():
                return self._fault(options)
            case ListOptions():
                return self._look(command, options)

    def _up(self, options: Options) -> ClusterUp:
        from kfwd_nb.notebook.progress import Progress

        running = embedded.cluster
        if running is not None:
            embedded.check_same(options)
            return self._presented(_result(running, already=True))
        progress = Progress(self._shell, "embedded cluster")
        lost = embedded.lost
        threading.Thread(target=_warm_up, name="kfwd-imports", daemon=True).start()
        try:
            result = _result(embedded.start(options, progress), already=False, lost=lost)
        except KeyboardInterrupt:
            progress.failed("no embedded cluster was started")
            raise ClusterError("interrupted; nothing was started.") from None
        except BaseException:
            progress.failed("no embedded cluster was started")
            raise
        self._shown.present(result, lambda: progress.done(result.bundle()))
        return result

    def _down(self) -> ClusterDown:
        from kfwd_nb import client
        from kfwd_nb.notebook.results import ClusterDown

        embedded.check_ours()
        already = embedded.cluster is None and embedded.lost is None
        lost = embedded.lost.stopped if embedded.lost is not None else ()
        forwards = [each for each in client.forwards() if each.embedded]
        for forward in forwards:
            forward.stop("its embedded cluster was ended by %kfwd down")
        follower.refresh()
        stopped = (*lost, *(each.name for each in forwards))
        return self._presented(ClusterDown(embedded.stop(), stopped, already=already))

    def _look(self, command: str, options: ListOptions) -> ClusterStatus | PodList | ServiceList:
        from kfwd_nb import client
        from kfwd_nb.notebook import listing

        _check_not_lost(options)
        line = embedded.isolation_line
        with self._waiting() as notice:
            match command:
                case "status":
                    return listing.status(len(client.forwards()), line, notice, options)
                case "pods":
                    return listing.pods(options, notice)
            return listing.services(options, notice)

    def _nsenter(self, options: EnterOptions) -> Entered:
        from kfwd_nb.notebook import listing
        from kfwd_nb.notebook.nsenter import enter

        _check_not_lost(options)
        with self._waiting() as notice:
            pid, isolation = listing.process_of(options, notice)
        try:
            entered = enter(pid, isolation, options.command)
        except KeyboardInterrupt:
            raise KfwdError("interrupted; the command was ended.") from None
        if entered.status:
            Output().show(entered.bundle())
            raise KfwdError(f"exit status {entered.status}")
        return entered

    def _fault(self, options: FaultOptions) -> Result:
        from kfwd_nb.notebook.fault import fault

        return self._presented(fault(embedded.faults, options))

    def _presented(self, result: D) -> D:
        """Show it, wherever in the cell its line stands."""
        self._shown.present(result, lambda: Output().show(result.bundle()))
        return result

    @contextmanager
    def _waiting(self) -> Iterator[Notice]:
        """While the cluster is asked: the cell shows what an exec plugin says.

        Raises:
            KfwdError: an interrupt ended the wait.
        """
        notice = Notice(self._shell)
        try:
            yield notice
        except KeyboardInterrupt:
            raise KfwdError("interrupted; the cluster has not answered yet.") from None
        finally:
            notice.over()


def _check_not_lost(options: ListOptions | EnterOptions) -> None:
    if options.context is None and options.kubeconfig is None:
        embedded.check_not_lost()


def _warm_up() -> None:
    """Import what the first `%portforward` needs, while the cluster's processes start."""
    importlib.import_module("kfwd_nb.client")


def _result(cluster: MiniCluster, *, already: bool, lost: Lost | None = None) -> ClusterUp:
    from kfwd_nb.notebook.results import ClusterUp

    return ClusterUp(
        name=cluster.name,
        isolation=cast("Isolation", cluster.isolation),
        relay=cluster.relay,
        kubeconfig=str(cluster.kubeconfig),
        pods=tuple(cluster.pods),
        seconds=cluster.ready_after,
        already=already,
        isolation_line=embedded.isolation_line,
        lost=f"forwards into cluster {lost.name}, which has ended, are stopped: "
        f"{', '.join(lost.stopped)}"
        if lost is not None and lost.stopped
        else "",
    )
