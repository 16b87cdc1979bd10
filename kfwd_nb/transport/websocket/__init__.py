"""WebSockets at both ends, with ports inside in the two forms that Kubernetes has.

`tunnel` has one byte stream inside, which is SPDY's; `channels` has ports without SPDY (raw v4).
"""
