"""Who may reach a cluster: Ray's dashboard runs any code for whoever may talk to it.

Clusters that we start ask for a token (RAY_AUTH_MODE=token, launch/__init__.py). One that somebody
else has left open to the network is not used at all.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import stat
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from configs.errors import ConfigError

ANSWER_S = 10.0
HELP = "docs/cluster.md says how"


def token_file() -> Path:
    """Where Ray looks for the token, unless RAY_AUTH_TOKEN holds it."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def private_token() -> None:
    """Make a token where there is none, and see to it that nobody else can read it.

    Raises:
        ConfigError: others can read it and that cannot be changed.
    """
    path = token_file()
    if "RAY_AUTH_TOKEN" in os.environ:
        return
    if not path.exists() and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return  # another run was faster
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    elif path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        try:
            path.chmod(0o600)  # Ray itself writes it readable by all
        except PermissionError:
            raise ConfigError(
                f"{path} holds the cluster's token and others can read it: chmod 600 {path}"
            ) from None


def require_token(url: str) -> None:
    """See that a dashboard turns away whoever has no token; on this very machine it need not.

    Raises:
        ConfigError: it serves everybody on the network, or cannot be reached.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"--address {url!r} is not the URL of a dashboard, such as http://127.0.0.1:8265"
        )
    if is_loopback(parts.hostname):
        return
    if _is_open(f"{url.rstrip('/')}/api/jobs/"):
        raise ConfigError(
            f"{url} runs jobs for everybody who can reach it: start that cluster with "
            f"RAY_AUTH_MODE=token; {HELP}"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address stands for this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_open(url: str) -> bool:
    """Whether a URL answers without a token."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S):
            return True
    except urllib.error.HTTPError as error:
        return error.code not in (401, 403)
    except (urllib.error.URLError, OSError) as error:
        raise ConfigError(f"{url} cannot be reached: {error}") from None
