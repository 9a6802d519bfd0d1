"""What makes the pure machine live: one writer, lanes, polls, tunnels, timers. Written on anyio alone."""
