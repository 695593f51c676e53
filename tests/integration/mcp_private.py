"""An MCP server that wants a secret: an API_KEY over stdio, `... PORT` a bearer token over HTTP."""

import os
import sys
from pathlib import Path

from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from pydantic import AnyHttpUrl

SECRET = "sesame-3f1b"


class OneToken:
    async def verify_token(self, token: str) -> AccessToken | None:
        known = token == SECRET
        return AccessToken(token=token, client_id="tests", scopes=[]) if known else None


def add_tools(server: MCPServer) -> MCPServer:
    @server.tool()
    def folder() -> str:
        """Where the server works."""
        return str(Path.cwd())

    @server.tool()
    def variables() -> list[str]:
        """What is set."""
        return sorted(os.environ)

    return server


def serve_http(port: int) -> None:
    url = AnyHttpUrl(f"http://127.0.0.1:{port}")
    settings = AuthSettings(issuer_url=url, resource_server_url=url, validate_token_resource=False)
    server = MCPServer("private", token_verifier=OneToken(), auth=settings)
    add_tools(server).run("streamable-http", host="127.0.0.1", port=port)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve_http(int(sys.argv[1]))
    elif os.environ.get("API_KEY") == SECRET:
        add_tools(MCPServer("private")).run("stdio")
    else:
        sys.exit("wrong API_KEY")
