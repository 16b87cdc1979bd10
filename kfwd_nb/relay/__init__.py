"""The API server's role: the store of objects, who may do what, and the way to each pod's node."""
