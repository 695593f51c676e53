"""An MCP server that turns requests away while it answers two: `python mcp_busy.py PORT`."""

import asyncio
import sys
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer

server = MCPServer("busy")
application = server.streamable_http_app()
under_way = asyncio.Semaphore(2)


@server.tool()
async def look(number: int) -> int:
    """Look a number up."""
    await asyncio.sleep(0.2)
    return number


async def limited(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http" or scope["method"] != "POST":
        await application(scope, receive, send)
    elif under_way.locked():
        await send({"type": "http.response.start", "status": 429, "headers": []})
        await send({"type": "http.response.body", "body": b"later"})
    else:
        async with under_way:
            await application(scope, receive, send)


if __name__ == "__main__":
    uvicorn.run(limited, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
