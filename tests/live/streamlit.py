"""A browser's side of Streamlit's protocol, as much of it as shows what a script writes."""

from __future__ import annotations

import aiohttp
import anyio

from .notebook import PATIENCE_S

RUN_THE_SCRIPT = b"Z\x00"
"""A BackMsg of Streamlit's protocol (BackMsg.proto): field 11, rerun_script, an empty message."""


async def shown(client: aiohttp.ClientSession, base: str, text: str) -> bool:
    """Have the script behind ``base`` (ending in a slash) run, and wait until it has written ``text``."""
    url = f"{base}_stcore/stream"
    async with client.ws_connect(url, protocols=("streamlit",), max_msg_size=0) as channel:
        await channel.send_bytes(RUN_THE_SCRIPT)
        with anyio.fail_after(PATIENCE_S):
            # Texts are in its messages as they are.
            while text.encode() not in await channel.receive_bytes():
                pass
    return True
