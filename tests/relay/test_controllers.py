"""Deployments, orphans, nodes for pods, orders to agents: decisions without any I/O."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb.errors import ForbiddenError
from kfwd_nb.kube.objects import (
    FOUND_ANNOTATION,
    PID_ANNOTATION,
    Condition,
    Container,
    Deployment,
    DeploymentSpec,
    LabelSelector,
    Namespace,
    Node,
    NodeStatus,
    ObjectMeta,
    OwnerReference,
    Pod,
    PodSpec,
    PodStatus,
    PodTemplate,
)
from kfwd_nb.relay import store as store_module
from kfwd_nb.relay.controllers import running
from kfwd_nb.relay.controllers.deletion import OrphanCollector, delete
from kfwd_nb.relay.controllers.deployments import (
    FIRST_WAIT,
    HASH_LABEL,
    MAX_WAIT,
    YOUNG,
    DeploymentController,
    reconcile,
    template_hash,
)
from kfwd_nb.relay.controllers.running import run
from kfwd_nb.relay.controllers.scheduler import Scheduler, assign
from kfwd_nb.relay.nodelink import without_node
from kfwd_nb.relay.podsync import orders
from kfwd_nb.relay.store import Store, with_metadata

pytestmark = pytest.mark.pure

NOW = "2026-01-01T00:00:00Z"


def deployment(replicas: int = 3, command: str = "true") -> Deployment:
    container = Container(name="main", command=[command])
    template = PodTemplate(
        metadata=ObjectMeta(labels={"app": "api"}), spec=PodSpec(containers=[container])
    )
    return Deployment(
        metadata=ObjectMeta(name="api", namespace="default", uid="d1"),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels={"app": "api"}),
            template=template,
        ),
    )


def ready(kind: str = "True") -> list[Condition]:
    return [Condition(type="Ready", status=kind, last_transition_time=NOW)]  # type: ignore[arg-type]


def with_status(pod: Pod, phase: Any = "Running", is_ready: bool = True) -> Pod:
    conditions = ready() if is_ready else []
    return msgspec.structs.replace(pod, status=PodStatus(phase=phase, conditions=conditions))


def pods_of(owner: Deployment, *phases: str) -> list[Pod]:
    """Pods as the deployment makes them, in the given phases; `Deleting` stands for itself."""
    wanted = msgspec.structs.replace(owner.spec, replicas=len(phases))
    numbers = count()
    made = reconcile(msgspec.structs.replace(owner, spec=wanted), [], lambda: f"n{next(numbers)}")
    pods = []
    for pod, phase in zip(made.create, phases, strict=True):
        if phase == "Deleting":
            pods.append(with_metadata(with_status(pod), deletion_timestamp=NOW))
        else:
            pods.append(with_status(pod, phase, phase == "Running"))
    return pods


def test_a_new_deployment_makes_its_pods() -> None:
    owner = deployment(2)
    plan = reconcile(owner, [], iter(["abcde", "fghij"]).__next__)
    present = template_hash(owner.spec.template)
    assert [pod.metadata.name for pod in plan.create] == [
        f"api-{present}-abcde",
        f"api-{present}-fghij",
    ]
    assert len(present) == 10
    (pod, _) = plan.create
    assert pod.metadata.labels == {"app": "api", HASH_LABEL: present}
    assert pod.metadata.owner_references[0].uid == "d1"
    assert pod.spec == owner.spec.template.spec


@pytest.mark.parametrize(
    ("replicas", "phases", "created", "deleted"),
    [
        (3, ("Running", "Running", "Running"), 0, []),
        (3, ("Running", "Pending", "Pending"), 0, []),
        (3, ("Running", "Failed", "Running"), 1, ["n1"]),
        (3, ("Succeeded", "Failed", "Running"), 2, ["n0", "n1"]),
        (3, ("Running", "Deleting", "Running"), 1, []),
        (2, ("Running", "Pending", "Running"), 0, ["n1"]),
        (0, ("Running", "Pending"), 0, ["n0", "n1"]),
        (1, (), 1, []),
    ],
)
def test_reconcile(
    replicas: int, phases: tuple[str, ...], created: int, deleted: list[str]
) -> None:
    owner = deployment(replicas)
    plan = reconcile(owner, pods_of(owner, *phases))
    assert len(plan.create) == created
    assert sorted(pod.metadata.name[-2:] for pod in plan.delete) == deleted


def test_pods_of_another_owner_are_left_alone() -> None:
    other = with_metadata(deployment(), uid="d2")
    plan = reconcile(deployment(1), pods_of(other, "Running", "Failed"))
    assert (len(plan.create), plan.delete) == (1, ())


@pytest.mark.parametrize(
    ("present", "deleted"),
    [((), 0), (("Pending", "Pending"), 0), (("Running", "Pending"), 1), (("Running",) * 2, 2)],
)
def test_pods_of_a_former_template_go_as_the_new_ones_become_ready(
    present: tuple[str, ...], deleted: int
) -> None:
    former = pods_of(deployment(2, "former"), "Running", "Running")
    owner = deployment(2, "present")
    plan = reconcile(owner, [*former, *pods_of(owner, *present)])
    assert len(plan.create) == 2 - len(present)
    assert len(plan.delete) == deleted
    assert set(map(id, plan.delete)) <= set(map(id, former))


@given(
    replicas=st.integers(0, 5),
    phases=st.lists(
        st.sampled_from(["Running", "Pending", "Failed", "Succeeded", "Deleting"]), max_size=8
    ),
)
def test_carrying_out_a_plan_leaves_nothing_to_do(replicas: int, phases: list[str]) -> None:
    owner = deployment(replicas)
    pods = pods_of(owner, *phases)
    plan = reconcile(owner, pods)
    left = [pod for pod in pods if pod not in plan.delete] + list(plan.create)
    again = reconcile(owner, left)
    assert (again.create, again.delete) == ((), ())


def fail_all(store: Store) -> None:
    for pod in store.select(Pod):
        store.update(with_status(pod, "Failed", False))


def test_pods_that_fail_at_once_are_replaced_ever_more_slowly() -> None:
    now = [1000.0]
    store = Store()
    store.create(deployment(1))
    controller = DeploymentController(store, clock=lambda: now[0])
    assert controller.step() is None
    waits = []
    for _ in range(9):
        fail_all(store)
        wait = controller.step()
        assert wait is not None
        assert store.select(Pod) == []
        waits.append(wait)
        now[0] += wait
        assert controller.step() is None
        assert len(store.select(Pod)) == 1
    assert waits[:3] == [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4]
    assert waits[-1] == MAX_WAIT
    now[0] += YOUNG
    fail_all(store)
    assert controller.step() is None, "a pod that lived is replaced at once"
    assert len(store.select(Pod)) == 1


def test_a_full_store_makes_the_controller_wait_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_OBJECTS", 1)
    store = Store()
    store.create(deployment(2))
    assert DeploymentController(store).step() == MAX_WAIT
    assert len(store.select(Pod)) == 1


def test_a_deployment_says_how_far_it_is() -> None:
    store = Store()
    store.create(deployment(2))
    controller = DeploymentController(store)
    controller.step()
    store.update(with_status(store.select(Pod)[0]))
    controller.step()
    status = store.select(Deployment)[0].status
    assert (status.replicas, status.ready_replicas, status.updated_replicas) == (2, 1, 2)
    revision = store.revision
    controller.step()
    assert store.revision == revision, "a step that finds nothing to do changes nothing"


def test_the_pods_of_a_deleted_deployment_go_and_others_stay() -> None:
    store = Store()
    owner = store.create(deployment(2))
    DeploymentController(store).step()
    store.create(Pod(metadata=ObjectMeta(name="web", namespace="default")))
    collector = OrphanCollector(store)
    collector.step()
    assert len(store.select(Pod)) == 3
    delete(store, owner)
    collector.step()
    assert [pod.metadata.name for pod in store.select(Pod)] == ["web"]


def node(name: str, is_ready: bool = True) -> Node:
    conditions = ready("True" if is_ready else "False")
    return Node(metadata=ObjectMeta(name=name), status=NodeStatus(conditions=conditions))


def bound(name: str, to: str = "", phase: Any = "Pending", **meta: Any) -> Pod:
    metadata = ObjectMeta(name=name, namespace="default", uid=f"uid-{name}", **meta)
    return Pod(metadata=metadata, spec=PodSpec(node_name=to), status=PodStatus(phase=phase))


def test_pods_go_to_the_ready_node_with_the_fewest() -> None:
    pods = [
        bound("a", "n1"),
        bound("b", "n1"),
        bound("done", "n2", "Succeeded"),
        *(bound(name) for name in "cdef"),
        bound("leaving", deletion_timestamp=NOW),
    ]
    nodes = [node("n2"), node("n1"), node("n0", is_ready=False)]
    given = {pod.metadata.name: to for pod, to in assign(pods, nodes)}
    assert given == {"c": "n2", "d": "n2", "e": "n1", "f": "n2"}
    assert assign(pods, [node("n0", is_ready=False)]) == []


def test_a_node_that_is_being_dialled_is_waited_for() -> None:
    dialled = node("n2", is_ready=False)
    (ready_condition,) = dialled.status.conditions
    ready_condition.reason = "Connecting"
    pods = [bound("a"), bound("b")]
    assert assign(pods, [node("n1"), dialled]) == []
    ready_condition.reason = "AgentLost"
    assert [to for _, to in assign(pods, [node("n1"), dialled])] == ["n1", "n1"]
    ready_condition.status = "True"
    assert [to for _, to in assign(pods, [node("n1"), dialled])] == ["n1", "n2"]


def test_a_pod_that_must_wait_says_why_and_then_goes() -> None:
    store = Store()
    store.create(bound("web"))
    waiting = store.create(node("n1", is_ready=False))
    scheduler = Scheduler(store)
    scheduler.step()
    (pod,) = store.select(Pod)
    assert pod.status.conditions[0].message == "0/1 nodes are ready"
    store.update(msgspec.structs.replace(waiting, status=node("n1").status))
    scheduler.step()
    (pod,) = store.select(Pod)
    assert pod.spec.node_name == "n1"
    assert pod.status.conditions[0].status == "True"


def test_orders_for_an_agent() -> None:
    pods = [
        bound("new", "n1"),
        bound("held", "n1"),
        bound("replaced", "n1"),
        bound("finished", "n1", "Succeeded"),
        bound("leaving", "n1", deletion_timestamp=NOW),
    ]
    held = {
        ("default", "held"): "uid-held",
        ("default", "replaced"): "another",
        ("default", "stray"): "x",
    }
    now = orders(pods, held)
    assert [pod.metadata.name for pod in now.start] == ["new", "replaced"]
    assert sorted(now.stop) == [("default", "leaving"), ("default", "stray")]


def test_a_pod_on_a_lost_node_is_not_ready_and_says_so_once() -> None:
    pod = with_status(bound("web", "n1"))
    lost = without_node(pod, NOW)
    assert not lost.ready
    assert lost.status.reason == "NodeLost"
    assert lost.status.message == 'the agent of node "n1" cannot be reached'
    assert without_node(lost, "later") is lost


def test_a_pod_on_a_lost_node_has_no_pid_that_another_process_may_get() -> None:
    pod = with_metadata(bound("web", "n1"), annotations={PID_ANNOTATION: "4711", "mine": "stays"})
    assert without_node(pod, NOW).metadata.annotations == {"mine": "stays"}


def test_deleting_a_pod_waits_for_its_agent_if_there_is_one() -> None:
    store = Store()
    store.create(node("n1"))
    store.create(node("n2", is_ready=False))
    for name, to in (("a", ""), ("b", "n1"), ("c", "n2"), ("d", "n3")):
        delete(store, store.create(bound(name, to)))
    assert [pod.metadata.name for pod in store.select(Pod)] == ["b"]
    assert store.select(Pod)[0].metadata.deletion_timestamp


def test_deleting_a_namespace_or_a_node_takes_what_is_on_it_along() -> None:
    store = Store()
    default = store.create(Namespace(metadata=ObjectMeta(name="default")))
    staging = store.create(Namespace(metadata=ObjectMeta(name="staging")))
    n1 = store.create(node("n1"))
    store.create(with_metadata(bound("a"), namespace="staging"))
    store.create(with_metadata(deployment(), namespace="staging"))
    store.create(bound("b", "n1"))
    store.create(bound("c"))
    delete(store, staging)
    delete(store, n1)
    assert [pod.metadata.name for pod in store.select(Pod)] == ["c"]
    assert store.select(Deployment) == []
    with pytest.raises(ForbiddenError, match='namespaces "default" is forbidden'):
        delete(store, default)


# -- pods that an agent has found -----------------------------------------------------------------


def found(name: str, namespace: str = "default", **changes: Any) -> Pod:
    changes = {"namespace": namespace, "annotations": {FOUND_ANNOTATION: "cri"}} | changes
    return with_metadata(bound(name, "n1"), **changes)


def test_a_namespace_that_holds_a_found_pod_stays_whole() -> None:
    store = Store()
    staging = store.create(Namespace(metadata=ObjectMeta(name="staging")))
    store.create(node("n1"))
    store.create(with_metadata(bound("made-here"), namespace="staging"))
    store.create(with_metadata(deployment(), namespace="staging"))
    store.create(found("real", "staging"))
    before = store.revision
    with pytest.raises(ForbiddenError, match="can be deleted only where it was made"):
        delete(store, staging)
    assert store.revision == before


def test_controllers_leave_found_pods_alone() -> None:
    store = Store()
    store.create(node("n1"))
    api = store.create(deployment(replicas=0))
    for name, uid in (("of-a-living-owner", api.metadata.uid), ("of-a-gone-owner", "gone")):
        owner = OwnerReference(kind="Deployment", name="api", uid=uid, controller=True)
        store.create(found(name, owner_references=[owner]))
    DeploymentController(store).step()
    OrphanCollector(store).step()
    assert [each.metadata.deletion_timestamp for each in store.select(Pod)] == [None, None]


async def test_a_controller_outlives_what_one_object_refuses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running, "RETRY", 0.001)
    store = Store()
    steps = asyncio.Event()

    class Stumbling:
        made = 0

        def step(self) -> None:
            self.made += 1
            store.create(Namespace(metadata=ObjectMeta(name=f"n{self.made}")))
            if self.made >= 3:
                steps.set()
            raise ForbiddenError("not this one")

    task = asyncio.create_task(run(Stumbling(), store))
    await asyncio.wait_for(steps.wait(), 10)
    assert not task.done()
    task.cancel()
    assert "Stumbling: not this one" in caplog.text
