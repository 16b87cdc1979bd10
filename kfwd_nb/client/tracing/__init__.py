"""What passes between this client and its server, frame by frame, and one request step by step."""
