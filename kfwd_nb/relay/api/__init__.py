"""What makes the relay a Kubernetes API server towards clients: requests in, objects out.

A request comes to `answering`; what it means `routes` says, what it does `reading` and `writing`.
"""
