"""Kubernetes as configuration and data: kubeconfig, objects, manifests, the choice of a pod."""
