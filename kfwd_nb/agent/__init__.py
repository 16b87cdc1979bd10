"""The kubelet's role: starts, probes and ends the pods of one node, and opens their ports.

- `server` answers the relay: pods to run or to end, and CONNECT to a port of a pod.
- `pods` holds the node's pods and tells watchers what changes; `worker` drives one pod.
- `lifecycle` and `environment` decide, without I/O: what follows an event, what a process gets.
- `runtime` is what a pod is made with: `processes` here, whose pods are namespaces with the host's
  commands in them, each under a first process of its own (`podinit`).
- `cri` asks a container runtime for its pods instead, `found` follows them: these are entered, and
  never started or ended; `cri_pods` says how they are shown.
- `connectors` are the last step of a forwarded connection, into the pod; `probes` use them too.
"""
