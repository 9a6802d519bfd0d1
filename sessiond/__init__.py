"""sessiond: interactive sessions on this machine and on clusters, kept by a job-state daemon."""

__version__ = "0.1.0"
