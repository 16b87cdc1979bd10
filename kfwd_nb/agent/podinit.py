"""A pod's first process: makes the namespaces, starts the commands it is told, reaps, and ends all.

Run as a program of its own, `python -I -S podinit.py --channel FD …`, single-threaded and with
next to no imports, because a pod is ready only after it: about 15 ms on the machine that this was
written on (`signal` and `socket` would double that for their enums, so their C halves do here).

With namespaces it is two processes. The outer one makes the namespaces and waits; the inner one is
PID 1 of the pod, and when PID 1 ends, the kernel kills every process of its PID namespace. In
`loopback` isolation one process does what it can: a session for each container, and a subreaper
where there is one (Linux).

Whoever started it holds the other end of a socket pair. Both talk in frames: four bytes of length,
then fields divided by NUL. The end of that channel is the end of the pod, so nothing outlives a
node agent, however it died; the parent-death signal says the same to the outer process, in case the
inner one cannot listen.

    in:   start  NAME UID GID NOFILE CWD LOG ARGC ARG... VAR=VALUE...
          signal NAME NUMBER
    out:  pid PID | ready NOTE | failed WHY
          started NAME | refused NAME WHY | exited NAME STATUS
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import NoReturn

CLONE_FLAGS = (
    ("NEWNS", 0x00020000),
    ("NEWUTS", 0x04000000),
    ("NEWIPC", 0x08000000),
    ("NEWPID", 0x20000000),
    ("NEWNET", 0x40000000),
)
CLONE_NEWUSER = 0x10000000
MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
MS_BIND = 0x1000
MS_PRIVATE_REC = 0x4000 | (1 << 18)
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

LINUX = sys.platform == "linux"


class RefusedError(Exception):
    """The system does not let us; the text says what was tried and what it answered."""


# The system calls that Python 3.11 has no function for.


def call(name: str, *arguments: int | bytes | None) -> None:
    """Call `name` of the C library.

    Raises:
        RefusedError: with the call and the system's words.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    if getattr(libc, name)(*words) != 0:
        raise RefusedError(f"{name}: {os.strerror(ctypes.get_errno())}")


def unshare(name: str, flag: int) -> None:
    """Leave one namespace for a new one; the refusal names it, and the limit that stops it."""
    try:
        call("unshare", flag)
    except RefusedError as error:
        limit = {"NEWUSER": "user", "NEWNET": "net", "NEWPID": "pid"}.get(name, "")
        text = read(f"/proc/sys/user/max_{limit}_namespaces") if limit else ""
        why = f" (user.max_{limit}_namespaces is 0)" if text == "0" else ""
        raise RefusedError(f"unshare(CLONE_{name}){str(error)[len('unshare') :]}{why}") from None


def read(path: str) -> str:
    """What the file says, without white space around it; empty when it cannot be read."""
    try:
        with open(path) as file:  # noqa: PTH123  - pathlib costs more than this whole program
            return file.read().strip()
    except OSError:
        return ""


def write(path: str, text: str) -> None:
    """Write `text` in one call, as files of /proc want it."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def enter_user_namespace(uid: int, gid: int) -> None:
    """Become `uid` and `gid` in a user namespace of our own; outside we stay who we are."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    unshare("NEWUSER", CLONE_NEWUSER)
    try:
        write("/proc/self/setgroups", "deny")  # the kernel's condition for the next but one line
        write("/proc/self/uid_map", f"{uid} {outside_uid} 1")
        write("/proc/self/gid_map", f"{gid} {outside_gid} 1")
    except OSError as error:
        raise RefusedError(f"mapping of user {uid}: {error.strerror}") from None


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel signal us when the thread that started us ends."""
    if LINUX:
        call("prctl", PR_SET_PDEATHSIG, int(number))


# The channel.


def send(channel: int, *fields: str) -> None:
    """Send one frame."""
    body = "\0".join(fields).encode(errors="surrogateescape")
    frame = len(body).to_bytes(4, "big") + body
    while frame:
        frame = frame[os.write(channel, frame) :]


def frames(buffer: bytearray) -> Iterator[list[str]]:
    """Take every whole frame off the buffer."""
    while len(buffer) >= 4 and len(buffer) >= (end := 4 + int.from_bytes(buffer[:4], "big")):
        yield bytes(buffer[4:end]).decode(errors="surrogateescape").split("\0")
        del buffer[:end]


# The pod.


def make_pod(hostname: str, cover: str, scratch: str) -> str:
    """Make a pod of the namespaces that we are the first process of.

    Args:
        hostname: the pod's name.
        cover: a directory that is hidden behind `scratch` in this pod only, because the container's
            user could not get past it; empty for none.
        scratch: the pod's private directory.

    Returns:
        What could not be had, for people to read; empty when all could.
    """
    call("sethostname", hostname.encode(), len(hostname.encode()))
    call("mount", b"none", b"/", None, MS_PRIVATE_REC, None)
    if cover:
        call("mount", scratch.encode(), cover.encode(), None, MS_BIND, None)
    try:
        call("mount", b"proc", b"/proc", b"proc", MS_NOSUID_NODEV_NOEXEC, None)
    except RefusedError as error:  # where parts of /proc are hidden, as in some containers
        return f"the pod sees its node's /proc ({error})"
    try:  # as containerd does: a pod's ports are its own, so any user of it may bind them
        write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
    except OSError as error:
        return f"ports below 1024 need root in the pod ({error.strerror})"
    return ""


class Init:
    """The first process at work: obeys the channel, reports what ends."""

    def __init__(self, channel: int, isolation: str, logs: int) -> None:
        self.channel = channel
        self.isolation = isolation
        self.logs = logs
        self.leaders: dict[int, str] = {}
        self.wakeup, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self.wakeup, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)

    def run(self) -> None:
        """Obey until the channel ends."""
        buffer = bytearray()
        while True:
            ready, _, _ = select.select([self.channel, self.wakeup], [], [])
            if self.wakeup in ready:
                os.read(self.wakeup, 512)
            if self.channel in ready:
                data = os.read(self.channel, 1 << 16)
                if not data:
                    return
                buffer += data
                for fields in frames(buffer):
                    self.obey(fields)
            self.reap()

    def obey(self, fields: list[str]) -> None:
        """Carry out one frame."""
        verb, name, *rest = fields
        if verb == "start":
            self.start(name, rest)
        elif verb == "signal":
            for pid, leader in self.leaders.items():
                if leader == name:
                    os.kill(pid, int(rest[0]))

    def start(self, name: str, fields: list[str]) -> None:
        """Start a container's command; answers when it runs or why it does not."""
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            failure = "cannot be started"
            try:
                self.become(fields)
            except RefusedError as error:
                failure = str(error)
            except OSError as error:
                failure = error.strerror or str(error)
            finally:
                os.write(tell, failure.encode(errors="replace"))
                os._exit(127)
        os.close(tell)
        why = os.read(told, 4096).decode(
            errors="replace"
        )  # ends when the command is executed: both ends close on exec
        os.close(told)
        if why:
            os.waitpid(pid, 0)
            send(self.channel, "refused", name, why)
        else:
            self.leaders[pid] = name
            send(self.channel, "started", name)

    def become(self, fields: list[str]) -> NoReturn:
        """Turn this forked process into the command.

        Raises:
            RefusedError: with the step that failed.
        """
        import resource

        uid, gid, nofile = (int(field) for field in fields[:3])
        cwd, log, argc = fields[3:6]
        argv, variables = fields[6 : 6 + int(argc)], fields[6 + int(argc) :]
        environment = dict(variable.split("=", 1) for variable in variables)
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600, dir_fd=self.logs)
        for fd, target in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
            os.dup2(fd, target)
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, and that is inherited
            signal.signal(ignored, signal.SIG_DFL)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft = nofile if hard == resource.RLIM_INFINITY else min(nofile, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.umask(0o022)
        self.change_user(uid, gid)
        if self.isolation == "loopback":
            end_with_parent()  # after the change of user, which would clear it
        try:
            os.chdir(cwd)
        except OSError as error:
            raise RefusedError(f'workingDir "{cwd}": {error.strerror}') from None
        execute(argv, environment)

    def change_user(self, uid: int, gid: int) -> None:
        """Become the container's user: really as root, within a user namespace otherwise."""
        if uid < 0:
            return
        if self.isolation == "userns":
            if uid != 0:
                enter_user_namespace(uid, gid)
            return
        try:
            os.setgroups([gid])
            os.setgid(gid)
            os.setuid(uid)
        except OSError as error:
            raise RefusedError(f"runAsUser {uid}: {error.strerror}") from None

    def reap(self) -> None:
        """Collect what ended; what a container leaves behind ends with it."""
        for pid, status in ended():
            name = self.leaders.pop(pid, None)
            if name is None:
                continue
            kill_group(pid)
            if not self.leaders and os.getpid() == 1:
                kill(-1)
            send(self.channel, "exited", name, str(os.waitstatus_to_exitcode(status)))

    def end(self) -> None:
        """End every process of the pod. As PID 1 there is nothing to do: the kernel does it."""
        if os.getpid() == 1:
            return
        for leader in self.leaders:
            kill_group(leader)
        while orphans := children():  # those of a killed process become ours, as its subreaper
            for pid in orphans:
                kill(pid)
            for _ in orphans:
                os.waitpid(-1, 0)


def execute(argv: list[str], environment: dict[str, str]) -> NoReturn:
    """Become the command, found along its own PATH. `os.execvpe` would import for that, too late.

    Raises:
        RefusedError: there is no such program, or it cannot be executed.
    """
    name = argv[0]
    folders = [""] if "/" in name else [f"{f}/" for f in environment.get("PATH", "").split(":")]
    why = "not found in PATH" if "/" not in name else ""
    for folder in folders:
        try:
            os.execve(folder + name, argv, environment)  # noqa: S606
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            why = why or str(error.strerror)
        except OSError as error:
            why = str(error.strerror)
            break
    raise RefusedError(f'exec "{name}": {why}')


def ended() -> Iterator[tuple[int, int]]:
    """(PID, status) of every child that has ended, reaped."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def children() -> list[int]:
    """Our children that still run, as far as the system tells."""
    return [int(pid) for pid in read(f"/proc/self/task/{os.getpid()}/children").split()]


def kill(pid: int) -> None:
    """Kill a process; -1 is every other process of our PID namespace."""
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return


def kill_group(leader: int) -> None:
    """Kill what is left of the process group that `leader` led."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except OSError:
        return


# The program.


def options(words: Sequence[str]) -> dict[str, str]:
    """`--name=value` pairs."""
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def fork_first(channel: int) -> None:
    """Go on as the first process of new namespaces; the outer process waits for it and ends."""
    for name, flag in CLONE_FLAGS:
        unshare(name, flag)
    pid = os.fork()
    if pid == 0:
        end_with_parent()
        return
    if channel >= 0:
        send(channel, "pid", str(pid))
        os.close(channel)
    _, status = os.waitpid(pid, 0)
    os._exit(0 if status == 0 else 1)


def probe(isolation: str) -> None:
    """Try all that a pod in this isolation needs; silence and status 0 mean that it can be had."""
    if isolation == "userns":
        enter_user_namespace(0, 0)
    fork_first(-1)
    make_pod("probe", "", "")
    if isolation == "userns":
        enter_user_namespace(1000, 1000)


def pod(given: dict[str, str]) -> None:
    """Be a pod until the channel ends."""
    channel, isolation = int(given["channel"]), given["isolation"]
    os.set_inheritable(channel, False)  # it is ours, not the containers'
    logs = os.open(given["directory"], os.O_RDONLY)
    note = ""
    try:
        if isolation == "loopback":
            end_with_parent(signal.SIGCONT)  # awake, it sees the end of the channel and ends all
            if LINUX:
                call("prctl", PR_SET_CHILD_SUBREAPER, 1)
            send(channel, "pid", str(os.getpid()))
        else:
            end_with_parent()
            fork_first(channel)
            note = make_pod(given["hostname"], given["cover"], given["scratch"])
    except RefusedError as error:
        send(channel, "failed", str(error))
        os._exit(1)
    init = Init(channel, isolation, logs)
    try:
        send(channel, "ready", note)
        init.run()
    except BrokenPipeError:
        return  # the agent died while we spoke
    finally:
        init.end()


def main() -> None:
    """The program: `--probe=ISOLATION`, or the options of a pod."""
    given = options(sys.argv[1:])
    try:
        if "probe" in given:
            probe(given["probe"])
        else:
            pod(given)
    except RefusedError as error:
        os.write(2, f"{error}\n".encode())
        os._exit(1)


if __name__ == "__main__":
    main()
