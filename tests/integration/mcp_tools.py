"""An MCP server with a few tools: `python mcp_tools.py` over stdio, `... PORT` over HTTP."""

import asyncio
import os
import signal
import sys
import time

from mcp.server.mcpserver import MCPServer

server = MCPServer("tools")


@server.tool()
def divide(a: int, b: int) -> float:
    """Divide a by b."""
    return a / b


@server.tool()
def sleep(seconds: float) -> str:
    """Wait."""
    time.sleep(seconds)
    return "slept"


VISITS: list[int] = []


@server.tool()
def visits() -> int:
    """How often this was called in this process."""
    VISITS.append(1)
    return len(VISITS)


MEETINGS: list[asyncio.Event] = []


@server.tool()
async def meet() -> str:
    """Wait for another call of this tool."""
    if MEETINGS:
        MEETINGS.pop().set()
    else:
        MEETINGS.append(asyncio.Event())
        await MEETINGS[0].wait()
    return "met"


@server.tool()
def die() -> str:
    """End the server."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
