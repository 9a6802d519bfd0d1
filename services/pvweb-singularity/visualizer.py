"""Start the ParaViewWeb Visualizer with a secret that is on no command line, and a page that knows how to reach it.

visualizer.py PRIVATE VISUALIZER OPTION...: PRIVATE is a folder to write to, VISUALIZER the Visualizer's own. The secret
is in the variable CONTAINER_SECRET. Images of ParaView bring their own Python, which may be 2.7.
"""

import io
import os
import runpy
import shutil
import sys

# The Visualizer looks for its server at the root of the host, and for a service that starts one; here the page says
# where it is: where the page itself is. The secret is in the part of the address that no server gets to see.
PAGE = """<script>
var sessiond = {
  sessionURL: location.protocol.replace("http", "ws") + "//" + location.host +
    location.pathname.replace(/[^\\/]*$/, "") + "ws",
  secret: (/[#&]secret=([^&]+)/.exec(location.hash) || [])[1]
};
</script>
"""
CALL = "Visualizer.connect("


def page(text):
    """The Visualizer's page, told how to connect."""
    if CALL not in text or "<script" not in text:
        sys.exit("The Visualizer of this image cannot be told where its server is: choose one of ParaView 5.5 or newer")
    at = text.index("<script")
    return (text[:at] + PAGE + text[at:]).replace(CALL, "Visualizer.connect.call(null, sessiond, ")


def main():
    """Make the page, then become the Visualizer."""
    private, visualizer = sys.argv[1:3]
    content = os.path.join(private, "www")
    shutil.rmtree(content, ignore_errors=True)
    shutil.copytree(os.path.join(visualizer, "www"), content)
    index = os.path.join(content, "index.html")
    with io.open(index, encoding="utf-8") as source:
        text = page(source.read())
    # What was copied from a read-only image may be read-only, too.
    os.remove(index)
    with io.open(index, "w", encoding="utf-8") as target:
        target.write(text)
    program = os.path.join(visualizer, "server", "pvw-visualizer.py")
    # In one word with its option: a secret may begin with a dash.
    sys.argv = [program, "--content", content, "--authKey=" + os.environ.pop("CONTAINER_SECRET")] + sys.argv[3:]
    runpy.run_path(program, run_name="__main__")


main()
