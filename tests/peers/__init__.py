"""Programs that tests talk through: plain sockets, and clients that nobody here wrote."""
