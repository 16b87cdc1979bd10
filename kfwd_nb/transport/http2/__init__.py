"""HTTP/2, the wire of the dialect `connect`: each connection into a pod is one CONNECT stream.

`client` and `server` are the two ends, which carry API requests, too; both have the `driver`, and
`hops` is what an end tells of its streams.
"""
