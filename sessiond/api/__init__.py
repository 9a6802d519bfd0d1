"""HTTP on the control socket for programs, and the gateway for browsers."""
