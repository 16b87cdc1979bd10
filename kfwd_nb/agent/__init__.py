"""The kubelet's role: starts, probes and ends the pods of one node, and opens their ports."""
