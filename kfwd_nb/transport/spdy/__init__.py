"""SPDY, the wire of `portforward.k8s.io`: each connection into a pod is a pair of its streams.

`client` and `server` are the two ends, over whatever carries the octets; both have the `driver`.
"""
