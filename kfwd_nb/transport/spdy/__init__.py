"""The wire `spdy`: `portforward.k8s.io`, each connection into a pod a pair of SPDY streams.

`client` and `server` are the two ends, over whatever carries the octets; both have the `driver`.
"""
