"""A stand-in for ParaView's pvw-visualizer.py: it takes its options, and serves its page."""

from __future__ import annotations

import argparse
import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

PARSER = argparse.ArgumentParser()
PARSER.add_argument("--host", default="localhost")
for name in ("port", "timeout", "viewport-max-width", "viewport-max-height"):
    PARSER.add_argument(f"--{name}", type=int, required=True)
for name in ("content", "authKey", "data"):
    PARSER.add_argument(f"--{name}", required=True)

PAGE = """<!DOCTYPE html>
<html><head><title>waiting</title></head><body><div class='content'></div>
<script>var Visualizer = { connect: function (config) { document.title = JSON.stringify(config); } };</script>
<script>
  Visualizer.connect({ application: "visualizer" });
</script></body></html>
"""
"""The Visualizer's own page, with a Visualizer that says what it is told."""

if __name__ == "__main__":
    given = PARSER.parse_args()
    print("data", given.data, "secret", given.authKey, flush=True)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=given.content)
    ThreadingHTTPServer((given.host, given.port), handler).serve_forever()
