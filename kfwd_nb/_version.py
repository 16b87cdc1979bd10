"""The version, read by the build backend and shown by `kfwd --version`."""

__version__ = "0.1.0"
