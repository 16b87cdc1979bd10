"""The local side of a forward: the ports that it listens on, and the programs at their other end.

Nothing here reaches beyond this machine: sockets, and what the kernel knows of them.
"""
