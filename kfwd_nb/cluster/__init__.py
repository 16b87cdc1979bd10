"""The embedded cluster: starts relay and agents as processes, posts the manifests, ends them all."""
