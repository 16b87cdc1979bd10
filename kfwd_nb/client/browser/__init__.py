"""Where the browser is that shows the notebook, and the links from there to a local port."""
