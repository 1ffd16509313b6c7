"""A start that can't succeed ends with status 1 and one line that says what to do."""
import os
import pathlib
import shutil
import socket

import pytest

from conftest import daemons
from harness.config import Raw
from harness.plugin import build_plugin
from harness.policy import rcpt


def start_in_vain(postern, prepare=None, **settings):
    """The one line with which a daemon made by postern() ends."""
    settings = {"plugins": ["greylisting"], "init": True, **settings}
    daemon = postern(start=False, **settings)
    if prepare:
        prepare(daemon)
    done = daemon.run("-f", "-c", daemon.config)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    line, = done.stderr.splitlines()
    assert line.startswith("posternd: ")
    return line.removeprefix("posternd: ").replace(str(daemon.config), "postern.conf")


@pytest.fixture
def refused(postern):
    """Makes a daemon, starts it in vain and returns the one line that says why."""
    def run(prepare=None, **settings):
        return start_in_vain(postern, prepare, **settings)
    return run


@pytest.fixture
def small_postern(source, folder):
    """Makes daemons of a build without optional parts, as scripts/test builds it."""
    build = pathlib.Path(os.environ.get("POSTERN_SMALL_BUILD", source / "build-small")).resolve()
    if not (build / "src/posternd").exists():
        pytest.skip(f"there is no posternd in {build}")
    with daemons(build, folder) as make:
        yield make


def test_config_that_is_missing(refused):
    line = refused(lambda daemon: daemon.config.unlink())
    assert "postern.conf" in line and "No such file" in line


@pytest.mark.parametrize("text, expected", [
    ('workers = "many"', "workers"), ("workers = -1", "workers"), ("colour = 3", "colour"),
    ('request_timeout = "soon"', "request_timeout"), ('on_error = "retry"', "on_error"),
    ('mynetworks = {"192.0.2.0/33"}', "mynetworks"), ("log { level = \"loud\" }", "level"),
    ('database "other" { driver = "sqlite" }', "other"), ("drain_timeout = ", ""), ("log {", ""),
    ('plugin "greylisting" { block_expires = "5m" }', "block_expires"),
    ('plugin "greylisting" { block_expire = "5 apples" }', "block_expire"),
    ('plugin "greylisting" { ipv4_prefix = 33 }', "ipv4_prefix"),
    ('plugin "greylisting" { training_mode = "perhaps" }', "training_mode"),
    ('plugin "greylisting" { block_expire = "2d" }', "block_expire")])
def test_bad_config_names_file_line_and_key(refused, text, expected):
    def prepare(daemon):
        daemon.settings.pop(text.partition(" ")[0], None)
        daemon.sections.pop(text.partition(" {")[0], None)
        daemon.write_config(extra=text + "\n")
        prepare.line = daemon.config.read_text().count("\n")
    line = refused(prepare)
    assert line.startswith(f"postern.conf:{prepare.line}: ")
    assert expected in line


def test_port_in_use_names_the_address(refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused(listen=[address])
    assert address in line and "in use" in line


def test_unix_socket_in_use_names_the_path(refused, folder):
    path = str(folder / "taken")
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(path)
        taken.listen()
        line = refused(listen=[f"unix:{path}"])
    assert path in line and "in use" in line


def test_socket_path_that_is_another_file_is_not_removed(refused, folder):
    path = folder / "precious"
    path.write_text("data")
    line = refused(listen=[f"unix:{path}"])
    assert str(path) in line
    assert path.read_text() == "data"


def test_socket_in_a_missing_folder_names_the_path(refused, folder):
    line = refused(listen=[f"unix:{folder}/none/socket"])
    assert f"{folder}/none/socket" in line


def test_metrics_port_in_use_names_the_address(refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused(sections={"metrics": {"listen": address}})
    assert address in line and "in use" in line


def set_database_path(path):
    def prepare(daemon):
        daemon.sections['database "iredapd"']["path"] = path
        daemon.write_config()
    return prepare


def test_missing_database_names_the_command(refused, folder):
    line = refused(set_database_path(folder / "missing.db"))
    assert f"{folder}/missing.db" in line and "posternctl" in line and "db init" in line


def test_database_without_tables_names_the_command(refused, folder):
    path = folder / "empty.db"
    path.touch()
    path.chmod(0o666)
    line = refused(set_database_path(path))
    assert "posternctl" in line and "db init" in line


def test_database_in_a_folder_that_cannot_be_entered_names_the_path(refused, folder):
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0o700)
    line = refused(set_database_path(closed / "postern.db"))
    assert f"{closed}/postern.db" in line and "nobody" in line


def test_database_that_cannot_be_written_names_the_path(refused):
    def prepare(daemon):
        daemon.database.path.chmod(0o444)
        shutil.chown(daemon.database.path, "root")
        prepare.path = str(daemon.database.path)
    line = refused(prepare)
    assert prepare.path in line


def test_file_that_is_no_database_names_the_path(refused, folder):
    path = folder / "junk.db"
    path.write_bytes(b"this is no database" * 1000)
    path.chmod(0o666)
    line = refused(set_database_path(path))
    assert str(path) in line


def test_folder_as_a_database_names_the_path(refused, folder):
    line = refused(set_database_path(folder))
    assert line == f"database iredapd: {folder} is not a file: give the file's name as `path`"


@pytest.mark.parametrize("name", ["iredapd", "amavisd"])
def test_driver_that_is_not_built_in_is_refused(small_postern, name):
    def prepare(daemon):
        daemon.sections[f'database "{name}"'] = {"driver": "mysql", "name": "postern"}
        daemon.write_config()
    line = start_in_vain(small_postern, prepare)
    assert line.startswith(f'database {name}: this build has no driver "mysql": ')


def test_build_without_optional_parts_serves(small_postern):
    daemon = small_postern(plugins=["greylisting"], metrics=False)
    assert daemon.ask(rcpt()).startswith("451 4.7.1 ")


def test_database_of_a_newer_postern_is_refused(refused):
    line = refused(lambda daemon: daemon.database.execute(
        "INSERT INTO postern_schema VALUES ('iredapd', 9999, 0)"))
    assert "newer" in line


def test_missing_plugin_names_it_and_its_line(refused):
    line = refused(plugins=["greylistings"], init=False)
    assert line.startswith("postern.conf:") and "greylistings" in line and "plugin_dir" in line


def test_file_that_is_no_plugin_is_refused(refused, folder):
    (folder / "junk.so").write_text("no shared object")
    line = refused(plugins=["junk"], plugin_dir=folder, init=False)
    assert f"{folder}/junk.so" in line


def test_plugin_of_another_abi_is_refused(refused, folder, source):
    code = '#include <postern/plugin.h>\n#undef POSTERN_ABI_VERSION\n' \
           '#define POSTERN_ABI_VERSION 4711\n' \
           'static void check(struct postern_request *req) { (void)req; }\n' \
           'POSTERN_PLUGIN(old, .states = POSTERN_RCPT, .check = check);\n'
    build_plugin("old", code, folder, f"-I{source}/include")
    line = refused(plugins=["old"], plugin_dir=folder, init=False)
    assert "4711" in line and "old.so" in line and "build it again" in line


def test_user_that_does_not_exist_is_refused(refused):
    def prepare(daemon):
        daemon.settings["user"] = "nosuchuser"
        daemon.write_config()
    line = refused(prepare)
    assert "nosuchuser" in line and "adduser" in line


def test_pid_file_that_cannot_be_written_is_refused(refused):
    line = refused(pid_file="/proc/posternd.pid")
    assert "/proc/posternd.pid" in line


def test_option_of_a_plugin_names_its_type(refused):
    line = refused(options={"greylisting": {"ipv4_prefix": Raw('"wide"')}}, init=False)
    assert "ipv4_prefix" in line
