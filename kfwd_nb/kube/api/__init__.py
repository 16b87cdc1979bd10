"""The API server as its clients see it: requests and watches, upgrades to `pods/portforward`."""
