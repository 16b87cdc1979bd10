"""The wire `websocket`, in the two forms that Kubernetes gives it, both roles.

`tunnel` has one byte stream inside, which is SPDY's; `channels` has ports without SPDY (raw v4).
"""
