"""HTTP/1.1 at both ends: one request after another, and upgrades to what comes after it."""
