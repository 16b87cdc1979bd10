"""kubectl's role: local listeners bound to a target in a cluster, supervised until stopped."""
