"""Debian's containerd, in namespaces of the test's own, and pod sandboxes made by its CRI.

It has its own mount, network and PID namespaces, its own root, state, socket and CNI networks: no
containerd of the machine is touched. The first process of the PID namespace is killed at the end,
and with it daemon, shims and containers end, whatever a test has done to them.

The image of every container is one static program that waits for ever, written here byte by byte
(Linux's `pause(2)` in a loop): no compiler and no registry is needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from kfwd_nb.transport.endpoint import Endpoint

START_TIME = 30.0
"""Seconds for the daemon to start and to serve its CRI."""

CALL_TIME = 60.0
"""Seconds for one call of the CRI."""

CNI_PLUGINS = ("/usr/lib/cni", "/opt/cni/bin")

IMAGE = "localhost/kfwd-test/pause:1"

SUBNET = "10.88.0.0/16"

NEEDED = {"containerd": "containerd", "ctr": "containerd", "runc": "runc", "nsenter": "util-linux"}
"""Programs, and Debian's package for each."""


def missing() -> str:
    """What this machine lacks for a containerd; empty if nothing."""
    if os.geteuid() != 0:
        return "root"
    lacking = [package for program, package in NEEDED.items() if _program(program) is None]
    if not any(Path(folder, "bridge").exists() for folder in CNI_PLUGINS):
        lacking.append("containernetworking-plugins")
    try:
        import cri_api.v1.api_pb2_grpc  # noqa: F401
    except ImportError:
        lacking.append("container-runtime-interface-api (of PyPI)")
    if platform.machine() not in CODE:
        lacking.append(f"a program for {platform.machine()}")
    return ", ".join(dict.fromkeys(lacking))


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin")


# -- the image ------------------------------------------------------------------------------------

CODE = {
    # mov eax, 34 (pause); syscall; jmp to the start
    "x86_64": (62, bytes.fromhex("b822000000 0f05 ebf7")),
    # x0 = x1 = x2 = x3 = 0; x8 = 73 (ppoll); svc 0; b to the start
    "aarch64": (
        183,
        struct.pack("<7I", *(0xD2800000 + n for n in range(4)), 0xD2800928, 0xD4000001, 0x17FFFFFA),
    ),
}
"""Of each machine: its number in an ELF header, and a program that waits for ever."""


def pause_program() -> bytes:
    """A static ELF executable (one segment, no section) that waits until it is killed."""
    machine, code = CODE[platform.machine()]
    base, head = 0x400000, 64 + 56
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, base + head, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = head + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return ident + header + segment + code


def image_archive() -> bytes:
    """The image as `docker save` writes one."""
    layer = _tar({"pause": pause_program()}, mode=0o755)
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "manifest.json": json.dumps(manifest).encode(),
            "config.json": json.dumps(config).encode(),
            "layer.tar": layer,
        }
    )


def _tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


# -- the daemon -----------------------------------------------------------------------------------

CONFIG = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.internal.v1.opt"]
[grpc]
  address = "{folder}/sock"
[debug]
  level = "info"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/net.d"
"""

NETWORK = {
    "cniVersion": "0.4.0",
    "name": "kfwd-test",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "kfwd0",
            "isGateway": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": SUBNET}]]},
        }
    ],
}

FIRST_PROCESS = """
mount -t tmpfs tmpfs /run
mkdir -p "$1/lib" && mount --bind "$1/lib" /var/lib
ip link set lo up
exec containerd --config "$1/config.toml"
"""
"""Inside the namespaces. `/run` and `/var/lib` hold paths that runtime and plugins do not let
others choose: shims' sockets, network namespaces, addresses given out."""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class PodSandbox:
    """One pod, as CRI has it.

    Attributes:
        id: the sandbox's.
        pid: of its first process, in the daemon's PID namespace.
        outer_pid: of the same process, in ours.
    """

    id: str
    name: str
    namespace: str
    uid: str
    pid: int
    outer_pid: int

    @property
    def netns(self) -> Path:
        """Its network namespace."""
        return Path(f"/proc/{self.outer_pid}/ns/net")


class Containerd:
    """A running daemon.

    Attributes:
        folder: all that it writes.
        socket: its gRPC socket, for CRI too.
        pid: of the daemon, the first process of its PID namespace; in our own.
        cri: stub of CRI's RuntimeService.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kfwd-cri-", dir="/tmp"))
        self.socket = self.folder / "sock"
        self.pid = 0
        self.cgroup = f"/{self.folder.name}"
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Any = None
        self.cri: Any = None

    def start(self) -> None:
        """Start the daemon; returns when it can make sandboxes."""
        plugins = next(each for each in CNI_PLUGINS if Path(each, "bridge").exists())
        values = {"folder": self.folder, "image": IMAGE, "plugins": plugins}
        (self.folder / "config.toml").write_text(CONFIG.format(**values))
        (self.folder / "net.d").mkdir()
        (self.folder / "net.d" / "10-kfwd.conflist").write_text(json.dumps(NETWORK))
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"),
                    *("--mount-proc", "sh", "-ec", FIRST_PROCESS, "sh", str(self.folder)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
                start_new_session=True,
            )
        self._connect()
        self.pid = int(_children(self._process.pid)[0])
        self._import_image()

    def _connect(self) -> None:
        import grpc
        from cri_api.v1 import api_pb2, api_pb2_grpc

        self._channel = grpc.insecure_channel(f"unix://{self.socket}")
        self.cri = api_pb2_grpc.RuntimeServiceStub(self._channel)
        end = time.monotonic() + START_TIME
        while True:
            assert self._process is not None
            try:
                status = self.cri.Status(api_pb2.StatusRequest(), timeout=5)
            except grpc.RpcError as error:
                why = str(error.details())
            else:
                if all(each.status for each in status.status.conditions):
                    return
                why = str(status)
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"containerd does not start ({why}):\n{self.log()}")
            time.sleep(0.05)

    def _import_image(self) -> None:
        archive = self.folder / "image.tar"
        archive.write_bytes(image_archive())
        self.run("ctr", "-n", "k8s.io", "images", "import", "--snapshotter=native", str(archive))

    def run(self, *words: str) -> str:
        """Run a command in the daemon's mount, PID and network namespaces; what it prints."""
        words = (*self.enter(), *words)
        env = {**os.environ, "CONTAINERD_ADDRESS": str(self.socket)}
        return subprocess.run(
            words, env=env, check=True, capture_output=True, text=True, timeout=CALL_TIME
        ).stdout

    def enter(self, *, net: bool = True) -> tuple[str, ...]:
        """Words before a command that shall run beside the daemon."""
        return ("nsenter", "-t", str(self.pid), "-m", "-p", *(["-n"] if net else []))

    def log(self) -> str:
        """The last that the daemon said."""
        return (self.folder / "log").read_text()[-4000:]

    # -- sandboxes --------------------------------------------------------------------------------

    def run_sandbox(self, name: str = "", namespace: str = "default", **labels: str) -> PodSandbox:
        """Make a pod sandbox."""
        from cri_api.v1 import api_pb2 as api

        name = name or f"pod-{next(_numbers)}"
        config = self.sandbox_config(name, namespace, f"uid-{name}", labels)
        request = api.RunPodSandboxRequest(config=config)
        made = self.cri.RunPodSandbox(request, timeout=CALL_TIME)
        pid = int(self.info(made.pod_sandbox_id)["pid"])
        return PodSandbox(
            made.pod_sandbox_id, name, namespace, f"uid-{name}", pid, self._outer(pid)
        )

    def sandbox_config(self, name: str, namespace: str, uid: str, labels: dict[str, str]) -> Any:
        """As a kubelet writes it."""
        from cri_api.v1 import api_pb2 as api

        return api.PodSandboxConfig(
            metadata=api.PodSandboxMetadata(name=name, namespace=namespace, uid=uid),
            hostname=name,
            log_directory=str(self.folder / "logs" / name),
            labels={
                "io.kubernetes.pod.name": name,
                "io.kubernetes.pod.namespace": namespace,
                "io.kubernetes.pod.uid": uid,
                **labels,
            },
            linux=api.LinuxPodSandboxConfig(cgroup_parent=self.cgroup),
        )

    def run_container(self, sandbox: PodSandbox, name: str, **annotations: str) -> str:
        """Start a container, which waits; its id."""
        from cri_api.v1 import api_pb2 as api

        config = api.ContainerConfig(
            metadata=api.ContainerMetadata(name=name),
            image=api.ImageSpec(image=IMAGE),
            labels={"io.kubernetes.container.name": name},
            annotations={key.replace("__", "."): value for key, value in annotations.items()},
        )
        request = api.CreateContainerRequest(
            pod_sandbox_id=sandbox.id,
            config=config,
            sandbox_config=self.sandbox_config(sandbox.name, sandbox.namespace, sandbox.uid, {}),
        )
        made = self.cri.CreateContainer(request, timeout=CALL_TIME).container_id
        self.cri.StartContainer(api.StartContainerRequest(container_id=made), timeout=CALL_TIME)
        return str(made)

    def stop_container(self, container: str) -> None:
        """End a container by SIGKILL; it stays in the list."""
        from cri_api.v1 import api_pb2 as api

        request = api.StopContainerRequest(container_id=container, timeout=0)
        self.cri.StopContainer(request, timeout=CALL_TIME)

    def info(self, sandbox_id: str) -> dict[str, Any]:
        """What `PodSandboxStatus` says verbosely."""
        from cri_api.v1 import api_pb2 as api

        request = api.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
        answer = self.cri.PodSandboxStatus(request, timeout=CALL_TIME)
        found: dict[str, Any] = json.loads(answer.info["info"])
        return found

    def remove(self, sandbox: PodSandbox) -> None:
        """Stop a sandbox and remove it."""
        from cri_api.v1 import api_pb2 as api

        self.cri.StopPodSandbox(
            api.StopPodSandboxRequest(pod_sandbox_id=sandbox.id), timeout=CALL_TIME
        )
        self.cri.RemovePodSandbox(
            api.RemovePodSandboxRequest(pod_sandbox_id=sandbox.id), timeout=CALL_TIME
        )

    def sandboxes(self) -> list[str]:
        """The ids of all that there are."""
        from cri_api.v1 import api_pb2 as api

        answer = self.cri.ListPodSandbox(api.ListPodSandboxRequest(), timeout=CALL_TIME)
        return [each.id for each in answer.items]

    def portforward_url(self, sandbox: PodSandbox, *ports: int) -> tuple[Endpoint, str]:
        """Where the streaming server is (in the daemon's network), and a path for one use.

        For raw v4 the ports are named here, as a kubelet does; the query of the URL says nothing.
        """
        from cri_api.v1 import api_pb2 as api

        request = api.PortForwardRequest(pod_sandbox_id=sandbox.id, port=ports)
        url = urlsplit(self.cri.PortForward(request, timeout=CALL_TIME).url)
        assert url.hostname is not None
        assert url.port is not None
        return Endpoint(url.hostname, url.port, None), url.path

    def _outer(self, pid: int) -> int:
        """The PID in our namespace of a process of the daemon's."""
        for each in self.processes():
            with contextlib.suppress(OSError):
                if _inner_pid(Path(f"/proc/{each}")) == pid:
                    return each
        raise AssertionError(f"the daemon's process {pid} is not to be seen")

    # -- the end ----------------------------------------------------------------------------------

    def stop(self) -> list[str]:
        """Remove every sandbox, end every process; returns what was not as it should be."""
        wrong = []
        if self._process is None:
            return wrong
        if self.pid and self._process.poll() is None:
            wrong += self._remove_all()
        if self._channel is not None:
            self._channel.close()
        members = self.processes()
        with contextlib.suppress(ProcessLookupError):
            # the first process of the namespace: the kernel ends all others of it
            os.kill(self.pid or self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=CALL_TIME)
        end = time.monotonic() + 10
        while left := [pid for pid in members if _runs(pid)]:
            if time.monotonic() > end:
                wrong.append(f"processes are left: {left}")
                break
            time.sleep(0.01)
        self._remove_cgroups()
        shutil.rmtree(self.folder, ignore_errors=True)
        return wrong

    def _remove_all(self) -> list[str]:
        import grpc

        wrong = []
        try:
            for each in self.sandboxes():
                self.remove(PodSandbox(each, "", "", "", 0, 0))
        except grpc.RpcError as error:
            wrong.append(f"a sandbox is not to be removed: {error.details()}\n{self.log()}")
        return wrong

    def processes(self) -> list[int]:
        """The daemon and all that descends from it; orphans are its children, too."""
        try:
            daemon = psutil.Process(self.pid or -1)
            return [self.pid, *(each.pid for each in daemon.children(recursive=True))]
        except (psutil.NoSuchProcess, ValueError):
            return []

    def _remove_cgroups(self) -> None:
        for root in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
            top = Path(f"{root}{self.cgroup}")
            if top.is_dir():
                for folder, _, _ in os.walk(top, topdown=False):
                    with contextlib.suppress(OSError):
                        Path(folder).rmdir()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _inner_pid(entry: Path) -> int:
    """The innermost PID of a process in a namespace below ours; containers are one deeper still."""
    line = next(x for x in (entry / "status").read_text().splitlines() if x.startswith("NSpid"))
    return int(line.split()[2])


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def running() -> Iterator[Containerd]:
    """A daemon for as long as the context lasts; nothing of it is left after that."""
    daemon = Containerd()
    try:
        daemon.start()
        yield daemon
    finally:
        wrong = daemon.stop()
        assert not wrong or sys.exc_info()[0] is not None, "\n".join(wrong)
