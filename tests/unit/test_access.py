"""Tokens, dashboards that are open to everybody, and what a job is given."""

from __future__ import annotations

import http.server
import stat
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from configs.errors import ConfigError
from launch import access, jobs
from launch.access import is_loopback, private_token, require_token
from launch.env_new import write_package


@contextmanager
def dashboard(code: int) -> Iterator[str]:
    """An HTTP server that answers everything with one code; on loopback, as all tests are."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback counts as another machine."""
    monkeypatch.setattr(access, "is_loopback", lambda host: False)


@pytest.mark.parametrize("code", [200, 404, 500])
def test_a_dashboard_that_serves_everybody_is_refused(elsewhere: None, code: int) -> None:
    with dashboard(code) as url, pytest.raises(ConfigError, match="runs jobs for everybody"):
        require_token(url)


@pytest.mark.parametrize("code", [401, 403])
def test_one_that_asks_for_a_token_is_used(elsewhere: None, code: int) -> None:
    with dashboard(code) as url:
        require_token(url)


def test_on_this_very_machine_it_may_be_open() -> None:
    with dashboard(200) as url:
        require_token(url)


@pytest.mark.parametrize("address", ["", "127.0.0.1:8265", "ray://head:10001", "http://"])
def test_what_is_no_dashboard_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is not the URL of a dashboard"):
        require_token(address)


def test_one_that_cannot_be_reached_is_named(elsewhere: None) -> None:
    with dashboard(200) as url:
        gone = url
    with pytest.raises(ConfigError, match="cannot be reached"):
        require_token(gone)


def test_loopback() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "10.0.0.1", "head", "localhost.evil"))


def test_a_token_is_made_and_kept_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    private_token()
    path = tmp_path / ".ray" / "auth_token"
    token = path.read_text()
    assert len(token) == 64
    path.chmod(0o644)
    private_token()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == token


def test_a_token_that_cannot_be_made_private_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(0o644)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))

    def refuse(self: Path, mode: int) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        private_token()


class Client:
    """The Jobs API, as far as `submit` uses it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: dict[str, object] = {}

    def submit_job(self, **asked: object) -> str:
        if self.error:
            raise self.error
        self.asked = asked
        return "job-1"


def test_a_job_is_the_plain_command_in_a_copy_of_the_folder(tmp_path: Path) -> None:
    client = Client()
    command = jobs.command("train", "my preset.yaml", "name=a b", "output=/shared")
    assert jobs.submit(client, command, tmp_path, "a b") == "job-1"
    assert client.asked["entrypoint"] == (
        "python -m launch.cli train 'my preset.yaml' 'name=a b' output=/shared"
    )
    environment = client.asked["runtime_env"]
    assert isinstance(environment, dict)
    assert environment["working_dir"] == str(tmp_path)
    assert not [name for name in environment["env_vars"] if "TOKEN" in name or "KEY" in name]


def test_packages_travel_along_as_folders(tmp_path: Path) -> None:
    """As folders Ray knows them by their content: the same version, changed, is another."""
    project = write_package("rates", tmp_path)
    unpacked = jobs.unpacked(project, tmp_path)
    assert [module.name for module in unpacked] == ["rates", "rates-0.1.0.dist-info"]
    assert (unpacked[0] / "env.py").read_text() == (project / "rates" / "env.py").read_text()
    assert "rates.env:Tasks" in (unpacked[1] / "entry_points.txt").read_text()
    client = Client()
    jobs.submit(client, "x", tmp_path, "x", unpacked)
    environment = client.asked["runtime_env"]
    assert isinstance(environment, dict)
    assert environment["py_modules"] == [str(module) for module in unpacked]


def wheel(folder: Path, *names: str) -> Path:
    """A wheel with files of these names."""
    path = folder / "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
        archive.writestr(
            "mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n"
        )
        archive.writestr(
            "mine-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("mine-1.0.dist-info/RECORD", "")
    return path


def test_a_wheel_of_one_module_travels_as_a_folder(tmp_path: Path) -> None:
    [_, module] = jobs.unpacked(wheel(tmp_path, "mine.py"), tmp_path)
    assert module.name == "mine"
    assert {file.name for file in module.iterdir()} == {"__init__.py", "mine.module"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mine.pth"], r"installs mine\.pth, which cannot travel"),
        (["mine/__init__.py", "mine.libs/a.so"], r"installs mine\.libs, which cannot travel"),
        (["mine/__init__.py", "mine.py"], r"installs mine\.py, which cannot travel"),
        (["mine/__init__.py", "mine/.gitignore"], r"mine/\.gitignore would not travel"),
        (["mine/__init__.py", "mine/runs/a.py"], "mine/runs would not travel: rename it"),
    ],
)
def test_nothing_of_a_package_is_lost_on_its_way(
    names: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        jobs.unpacked(wheel(tmp_path, *names), tmp_path)


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    for nothing in (tmp_path, tmp_path / "missing.whl"):
        with pytest.raises(ConfigError, match="neither a wheel nor"):
            jobs.unpacked(nothing, tmp_path)
    (tmp_path / "broken.whl").touch()
    with pytest.raises(ConfigError, match=r"broken\.whl cannot be installed: "):
        jobs.unpacked(tmp_path / "broken.whl", tmp_path)


def test_a_refused_token_is_explained(tmp_path: Path) -> None:
    client = Client(RuntimeError("Request failed with status code 401: Unauthorized"))
    with pytest.raises(ConfigError, match=r"refused the token: put .*auth_token \(mode 600\)"):
        jobs.submit(client, "x", tmp_path, "x")
    other = Client(RuntimeError("disk\nfull"))
    with pytest.raises(ConfigError, match="the cluster: disk full"):
        jobs.submit(other, "x", tmp_path, "x")


def test_a_job_that_would_lose_its_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="deleted with it: set output to an absolute path"):
        jobs.check_paths("quickstart", "runs", tmp_path)
    jobs.check_paths("quickstart", "/shared/runs", tmp_path)
    (tmp_path / "mine.yaml").touch()
    jobs.check_paths("mine.yaml", "/shared/runs", tmp_path)
    for preset in ("other.yaml", str(tmp_path / "mine.yaml")):
        with pytest.raises(ConfigError, match="must be a path within"):
            jobs.check_paths(preset, "/shared/runs", tmp_path)
