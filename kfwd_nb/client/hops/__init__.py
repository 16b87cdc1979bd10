"""Where the bytes of a forward are, at each hop from the local program to the pod.

`survey` asks everybody on the way, `looks` remembers what was seen before, `view` is what is told.
"""
