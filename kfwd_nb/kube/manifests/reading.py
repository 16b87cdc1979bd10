"""Manifest files to objects: YAML or JSON, several documents, `kind: List`.

A manifest is refused whole, by a `ConfigError` that names file, object, document and field:

    pods.yaml: Pod/web (document 2): spec.containers[0].redinessProbe: unknown field.
    hint: did you mean "readinessProbe"?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
import yaml

from kfwd_nb.errors import ConfigError, LimitError
from kfwd_nb.kube.manifests.schema import FieldError, convert, shown
from kfwd_nb.kube.manifests.validation import MAX_SUBDOMAIN_NAME, validate
from kfwd_nb.kube.nearest import did_you_mean
from kfwd_nb.kube.objects import (
    DEFAULT_NAMESPACE,
    AnyObject,
    Deployment,
    Namespace,
    Pod,
    PodTemplate,
    Service,
    matches,
)
from kfwd_nb.kube.resources import DEPLOYMENTS, NAMESPACES, PODS, SERVICES, resource_of
from kfwd_nb.kube.yaml_problem import yaml_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAX_FILE_BYTES = 1 << 20
"""Bytes of one manifest file."""

MAX_OBJECTS = 1000
"""Objects in the manifests that are read together."""

SUFFIXES = (".yaml", ".yml", ".json")
"""Files that are read when a folder is given."""

KINDS = {resource.kind: resource for resource in (NAMESPACES, PODS, SERVICES, DEPLOYMENTS)}
"""What a manifest may hold. Nodes are not among them: they register themselves."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object and the place it was read from, as messages name it."""

    item: AnyObject
    place: str

    @property
    def key(self) -> tuple[str, str, str]:
        """No two objects share it."""
        return self.item.kind, self.item.metadata.namespace, self.item.metadata.name


def load(path: Path) -> list[AnyObject]:
    """The objects of a file, or of all manifest files of a folder; namespaces come first.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong.
        LimitError: more than `MAX_FILE_BYTES` or `MAX_OBJECTS`.
    """
    entries: list[Entry] = []
    for file in _files(path):
        entries += _read(_text(file), str(file))
    if not entries:
        raise ConfigError(f"{path}: holds no manifest.")
    return _checked(entries)


def parse(text: str, source: str = "manifest") -> list[AnyObject]:
    """The objects of a manifest's text; `source` stands for the file's name in messages.

    Raises:
        ConfigError: something in it is wrong.
        LimitError: more than `MAX_OBJECTS`.
    """
    return _checked(list(_read(text, source)))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not files:
        raise ConfigError(f"{path}: the folder has no manifest ({', '.join(SUFFIXES)}).")
    return files


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}.") from None
    if len(data) > MAX_FILE_BYTES:
        raise LimitError(f"{file}: has {len(data)} bytes; the limit is {MAX_FILE_BYTES}.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text (byte {error.start}).") from None


def _read(text: str, source: str) -> Iterator[Entry]:
    for number, document in enumerate(_documents(text, source), 1):
        place = f"document {number}"
        if isinstance(document, dict) and document.get("kind") == "List":
            items = document.get("items")
            if not isinstance(items, list):
                raise ConfigError(f"{source}: List ({place}): items: must be a list.")
            for index, tree in enumerate(items):
                yield _entry(tree, source, f"{place}, items[{index}]")
        elif document is not None:
            yield _entry(document, source, place)


def _entry(tree: object, source: str, place: str) -> Entry:
    try:
        item = _object(tree)
    except FieldError as error:
        title = _title(tree)
        where = f"{title} ({place})" if title else place
        raise ConfigError(f"{source}: {where}: {error.what}", hint=error.hint) from None
    return Entry(item, f"{source}: {item.kind}/{item.metadata.name} ({place})")


def _title(tree: object) -> str:
    """`Pod/web`, as far as the tree says it."""
    if not isinstance(tree, dict):
        return ""
    metadata = tree.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    words = (tree.get("kind"), name)
    return "/".join(word[:MAX_SUBDOMAIN_NAME] for word in words if isinstance(word, str) and word)


def _object(tree: object) -> AnyObject:
    if not isinstance(tree, dict):
        raise FieldError("", "a manifest must be a mapping with apiVersion, kind and metadata")
    kind = tree.get("kind")
    if not isinstance(kind, str):
        raise FieldError("kind", "required, but not given")
    resource = KINDS.get(kind)
    if resource is None:
        raise FieldError(
            "kind",
            f"{shown(kind)} is not a kind that is known here",
            hint=did_you_mean(kind, KINDS),
        )
    version = tree.get("apiVersion")
    if version != resource.api_version:
        raise FieldError(
            "apiVersion", f"must be {resource.api_version} for a {kind}, not {shown(version)}"
        )
    item = cast("AnyObject", convert(tree, resource.type))
    if resource.namespaced and not item.metadata.namespace:
        metadata = msgspec.structs.replace(item.metadata, namespace=DEFAULT_NAMESPACE)
        item = msgspec.structs.replace(item, metadata=metadata)
    validate(item)
    return item


def _checked(entries: list[Entry]) -> list[AnyObject]:
    """The objects, once they also fit each other; namespaces first."""
    if len(entries) > MAX_OBJECTS:
        raise LimitError(f"the manifests hold {len(entries)} objects; the limit is {MAX_OBJECTS}.")
    _check_unique(entries)
    _check_namespaces(entries)
    _check_services(entries)
    return sorted((e.item for e in entries), key=lambda item: not isinstance(item, Namespace))


def _check_unique(entries: Iterable[Entry]) -> None:
    places: dict[tuple[str, str, str], str] = {}
    for entry in entries:
        if entry.key in places:
            raise ConfigError(f"{entry.place}: is given twice, first in {places[entry.key]}.")
        places[entry.key] = entry.place


def _check_namespaces(entries: list[Entry]) -> None:
    known = [e.item.metadata.name for e in entries if isinstance(e.item, Namespace)]
    known.append(DEFAULT_NAMESPACE)
    for entry in entries:
        name = entry.item.metadata.namespace
        if resource_of(type(entry.item)).namespaced and name not in known:
            raise ConfigError(
                f'{entry.place}: metadata.namespace: there is no namespace "{name}".',
                hint=f'add a manifest "kind: Namespace" of that name; {did_you_mean(name, known)}',
            )


def _check_services(entries: list[Entry]) -> None:
    """A service must select pods that are here, and lead to a port that they name."""
    for entry in entries:
        if not isinstance(service := entry.item, Service) or not service.spec.selector:
            continue
        pods = [t for t in _templates(entries, service.metadata.namespace) if _selects(service, t)]
        if not pods:
            raise ConfigError(
                f"{entry.place}: spec.selector: matches no Pod and no Deployment's template in "
                f'namespace "{service.metadata.namespace}".'
            )
        names = {p.name for t in pods for c in t.spec.containers for p in c.ports if p.name}
        for number, port in enumerate(service.spec.ports):
            if isinstance(port.target_port, str) and port.target_port not in names:
                raise ConfigError(
                    f"{entry.place}: spec.ports[{number}].targetPort: no container of the selected "
                    f'pods declares a port of the name "{port.target_port}".',
                    hint=did_you_mean(port.target_port, sorted(names)),
                )


def _templates(entries: list[Entry], namespace: str) -> Iterator[Pod | PodTemplate]:
    for entry in entries:
        if entry.item.metadata.namespace == namespace:
            if isinstance(entry.item, Pod):
                yield entry.item
            elif isinstance(entry.item, Deployment):
                yield entry.item.spec.template


def _selects(service: Service, template: Pod | PodTemplate) -> bool:
    return matches(service.spec.selector, template.metadata.labels)


def _documents(text: str, source: str) -> Iterator[Any]:
    try:
        yield from yaml.load_all(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: {yaml_problem(error)}.") from None
    except RecursionError:
        raise ConfigError(f"{source}: is nested too deeply.") from None


_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc,valid-type]
    """YAML as Kubernetes reads it: a key is given once, and a date is text."""

    yaml_implicit_resolvers: ClassVar = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that is given twice; YAML 1.2 §3.2.1.1 asks for it, PyYAML does not."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f'the key "{key.value}" is given twice', key.start_mark
                    )
                seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping
