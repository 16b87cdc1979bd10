"""The way to the pod: which pod, by which dialect, and again if that fails.

`dialer` is the door that sessions knock at; the others are what it needs.
"""
