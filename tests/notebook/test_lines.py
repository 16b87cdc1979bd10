"""Which line stands under a forward, and that the data is sound."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from kfwd_nb.notebook.drawing.lines import CopyLine, entries, line_for

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("remote", "name", "target", "text"),
    [
        (5432, "", "db", "postgresql://127.0.0.1:7000/"),
        (3306, "", "db", "mysql://127.0.0.1:7000/"),
        (6379, "", "cache", "redis://127.0.0.1:7000/0"),
        (27017, "", "db", "mongodb://127.0.0.1:7000/?directConnection=true"),
        (9092, "", "broker", "bootstrap.servers=127.0.0.1:7000"),
        (5672, "", "mq", "amqp://127.0.0.1:7000/"),
        (9200, "", "search", "http://127.0.0.1:7000/"),
        (9042, "", "db", "cqlsh 127.0.0.1 7000"),
        (8123, "", "db", "http://127.0.0.1:7000/play"),
        (8786, "", "scheduler", "dask.distributed.Client('tcp://127.0.0.1:7000')"),
        (8787, "", "scheduler", "http://127.0.0.1:7000/status"),
        (10001, "", "head", "ray.init('ray://127.0.0.1:7000')"),
        (8265, "", "head", "http://127.0.0.1:7000/"),
        (4040, "", "driver", "http://127.0.0.1:7000/"),
        (6006, "", "board", "http://127.0.0.1:7000/"),
        (9090, "", "metrics", "http://127.0.0.1:7000/"),
        (50051, "", "model", "grpc.insecure_channel('127.0.0.1:7000')"),
        (6333, "", "vectors", "QdrantClient(url='http://127.0.0.1:7000')"),
        (2379, "", "store", "etcdctl --endpoints=127.0.0.1:7000 endpoint status"),
        (4222, "", "bus", "nats://127.0.0.1:7000"),
        (22, "", "box", "ssh -p 7000 127.0.0.1"),
        (80, "", "web", "http://127.0.0.1:7000/"),
        (443, "", "web", "https://127.0.0.1:7000/"),
        (7, "", "web", "127.0.0.1:7000"),
        # A name counts for more than the number ...
        (8080, "postgresql", "x", "postgresql://127.0.0.1:7000/"),
        (80, "https", "x", "https://127.0.0.1:7000/"),
        (8080, "grpc", "x", "grpc.insecure_channel('127.0.0.1:7000')"),
        (1234, "HTTP", "x", "http://127.0.0.1:7000/"),
        (1234, "http-metrics", "x", "http://127.0.0.1:7000/"),
        (1234, "grpc-query", "x", "grpc.insecure_channel('127.0.0.1:7000')"),
        (1234, "tcp-redis", "x", "redis://127.0.0.1:7000/0"),
        (5432, "sql", "x", "postgresql://127.0.0.1:7000/"),
        # ... but `http` says only what is spoken.
        (8787, "http", "x", "http://127.0.0.1:7000/status"),
        (8787, "web", "x", "http://127.0.0.1:7000/status"),
        (5432, "http", "x", "http://127.0.0.1:7000/"),
        (9200, "https", "x", "https://127.0.0.1:7000/"),
        # Where a number has several meanings, the target's name decides.
        (9000, "", "store", "aws --endpoint-url http://127.0.0.1:7000 s3 ls"),
        (9000, "", "clickhouse-0", "clickhouse-client --host 127.0.0.1 --port 7000"),
        (9000, "http", "clickhouse-0", "aws --endpoint-url http://127.0.0.1:7000 s3 ls"),
        (5000, "", "api", "http://127.0.0.1:7000/"),
        (5000, "http", "mlflow", "mlflow.set_tracking_uri('http://127.0.0.1:7000')"),
        (8080, "", "my.weaviate", "weaviate.connect_to_local(host='127.0.0.1', port=7000)"),
        (8888, "", "hub-jupyter-ada", "http://127.0.0.1:7000/lab"),
        ("redis", "", "x", "redis://127.0.0.1:7000/0"),
    ],
)
def test_the_line_for_a_port(remote: int | str, name: str, target: str, text: str) -> None:
    assert line_for("127.0.0.1", 7000, remote, name, target).text == text


def test_an_address_of_ipv6_has_brackets_where_it_needs_them() -> None:
    assert line_for("::1", 80, 80).link == "http://[::1]:80/"
    assert line_for("::1", 2222, 22).text == "ssh -p 2222 ::1"
    assert line_for("::1", 7, 7) == CopyLine("[::1]:7")


def test_what_speaks_http_can_be_clicked_and_nothing_else() -> None:
    assert line_for("127.0.0.1", 1, 5432).link == ""
    assert line_for("127.0.0.1", 1, 1).link == ""
    assert line_for("127.0.0.1", 1, 6333).link == "http://127.0.0.1:1/dashboard"
    for entry in entries():
        if entry.link:
            parts = urlsplit(entry.at("127.0.0.1", 7000).link)
            assert (parts.scheme, parts.hostname, parts.port) == (
                "https" if "https" in entry.line else "http",
                "127.0.0.1",
                7000,
            )


def test_every_entry_is_sound() -> None:
    for entry in entries():
        line = entry.at("127.0.0.1", 7000)
        assert line.what
        assert "127.0.0.1" in line.text
        assert "7000" in line.text
        assert "{" not in line.text
        assert line.text.isprintable()
        assert all(name == name.lower() and name.isascii() for name in entry.names)


def test_no_name_means_two_things() -> None:
    names = [name for entry in entries() for name in entry.names]
    assert len(names) == len(set(names))
