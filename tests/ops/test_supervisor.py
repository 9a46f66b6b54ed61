"""Children live, die and come back as the supervisor says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from pydantic import BaseModel

from sparring.ops.errors import ProcessFailed
from sparring.ops.process import Child, Command, python
from sparring.ops.supervisor import Patience, RestartConfig, Server, keep
from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig

QUICK = RestartConfig(most=2, first_seconds=0.01, healthy_seconds=60, start_seconds=20, stop_seconds=0.5)


def command(tmp_path: Path, source: str, *arguments: str) -> Command:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(source))
    return Command("worker", (sys.executable, str(script), *arguments), {}, tmp_path / "worker.log")


def gone(pid: int, seconds: float = 10) -> bool:
    """Whether the process ends in time; a zombie has ended."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_grandchildren_die_with_a_killed_parent(tmp_path: Path) -> None:
    """Conductor, agent, worker: SIGKILL of the first takes down the others, as with torchrun between."""
    pids = tmp_path / "pids"
    worker = f"import os, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(600)"
    guarded = [*python("sparring.ops.guard"), sys.executable]
    agent = (
        f"import os, subprocess; open({str(pids)!r}, 'a').write(f'{{os.getpid()}} '); "
        f"subprocess.run({[*guarded, '-c', worker]!r}, start_new_session=True)"
    )
    conductor = f"import subprocess; subprocess.run({[*guarded, '-c', agent]!r}, start_new_session=True)"
    parent = subprocess.Popen([sys.executable, "-c", conductor])
    limit = time.monotonic() + 30
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        assert time.monotonic() < limit, "the children did not start"
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    assert all(gone(int(pid)) for pid in pids.read_text().split())


async def test_a_launched_rank_has_its_own_log(tmp_path: Path) -> None:
    rank = python(
        "sparring.ops.guard", "--append-to", str(tmp_path / "rank.log"), sys.executable, "-c", "print('no memory')"
    )
    launcher = f"import subprocess, sys; subprocess.run({list(rank)!r}); print('noise'); sys.exit(1)"
    launched = Command(
        "trainer", (sys.executable, "-c", launcher), {}, tmp_path / "rank.log", tmp_path / "launcher.log"
    )
    with pytest.raises(ProcessFailed, match=r"(?s)trainer exited with status 1.*rank\.log:\nno memory"):
        await keep(launched, QUICK)
    assert "noise" in (tmp_path / "launcher.log").read_text()


async def test_a_dead_process_comes_back(tmp_path: Path) -> None:
    """It kills itself twice and ends well the third time."""
    source = """
        import os, pathlib, sys
        lives = pathlib.Path(sys.argv[1])
        lives.write_text((lives.read_text() if lives.exists() else "") + "x")
        if len(lives.read_text()) < 3:
            os.kill(os.getpid(), 9)
    """
    await keep(command(tmp_path, source, str(tmp_path / "lives")), QUICK)
    assert (tmp_path / "lives").read_text() == "xxx"


async def test_patience_ends_with_the_log(tmp_path: Path) -> None:
    source = "import sys; print('the model is not there'); sys.exit(1)"
    with pytest.raises(ProcessFailed, match=r"(?s)worker exited with status 1.*worker\.log.*the model is not there"):
        await keep(command(tmp_path, source), QUICK)
    assert (tmp_path / "worker.log").read_text().count("the model") == QUICK.most + 1


async def test_misuse_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="status 2"):
        await keep(command(tmp_path, "import sys; print('no such key'); sys.exit(2)"), QUICK)
    assert (tmp_path / "worker.log").read_text().count("no such key") == 1


async def test_cancelling_stops_a_deaf_process(tmp_path: Path) -> None:
    source = """
        import os, pathlib, signal, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
        time.sleep(600)
    """
    pid_file = tmp_path / "pid"
    task = asyncio.create_task(keep(command(tmp_path, source, str(pid_file)), QUICK))
    while not (pid_file.exists() and pid_file.read_text()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(int(pid_file.read_text()))


async def test_a_child_tells_its_signal(tmp_path: Path) -> None:
    child = await Child.start(command(tmp_path, "import time; time.sleep(600)"))
    os.kill(child.pid, signal.SIGKILL)
    status = await child.wait()
    assert "killed by SIGKILL" in str(child.command.failure(status))


def test_patience_doubles_and_forgets() -> None:
    patience = Patience(RestartConfig(most=3, first_seconds=1, healthy_seconds=10))
    assert [patience.wait_seconds(1) for _ in range(4)] == [1, 2, 4, None]
    assert patience.wait_seconds(10) == 1


class EchoConfig(BaseModel):
    serving: ServingConfig


ECHO = """
    import json, os, pathlib, socket, sys, time
    config = json.loads(pathlib.Path(sys.argv[1]).read_text())["serving"]
    sockets = [socket.create_server(("127.0.0.1", config[name])) for name in ("port", "health_port", "metrics_port")]
    names = ("grpc", "health", "metrics")
    addresses = {name: f"127.0.0.1:{s.getsockname()[1]}" for name, s in zip(names, sockets)}
    partial = pathlib.Path(config["address_file"] + ".new")
    partial.write_text(json.dumps(addresses))
    partial.replace(config["address_file"])
    pathlib.Path(sys.argv[1] + f".{os.getpid()}.pid").touch()
    time.sleep(600)
"""


async def test_a_server_comes_back_on_its_ports(tmp_path: Path) -> None:
    ready: asyncio.Queue[Addresses] = asyncio.Queue()
    config_file = tmp_path / "echo.json"
    config = EchoConfig(serving=ServingConfig(address_file=str(tmp_path / "address.json")))
    server = Server(command(tmp_path, ECHO, str(config_file)), config, config_file, QUICK, ready.put)
    task = asyncio.create_task(server.keep())
    first = await asyncio.wait_for(ready.get(), 20)
    (mark,) = tmp_path.glob("*.pid")
    os.kill(int(mark.name.split(".")[-2]), signal.SIGKILL)
    second = await asyncio.wait_for(ready.get(), 20)
    task.cancel()
    await asyncio.wait([task])
    assert first == second == await server.addresses()
    assert json.loads(config_file.read_text())["serving"]["port"] == int(first.grpc.rpartition(":")[2])


async def test_a_server_is_never_done(tmp_path: Path) -> None:
    """Somebody ends it kindly from outside: it comes back all the same, until that has happened too often."""
    source = (
        "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.write_text(p.read_text() + 'x' if p.exists() else 'x')"
    )
    with pytest.raises(ProcessFailed, match="status 0"):
        await keep(command(tmp_path, source, str(tmp_path / "lives")), QUICK, ends=False)
    assert (tmp_path / "lives").read_text() == "x" * (QUICK.most + 1)


async def test_a_server_that_never_listens_is_named(tmp_path: Path) -> None:
    config_file = tmp_path / "mute.json"
    config = EchoConfig(serving=ServingConfig(address_file=str(tmp_path / "address.json")))
    hasty = QUICK.model_copy(update={"start_seconds": 0.3})

    async def never(addresses: Addresses) -> None:
        raise AssertionError(addresses)

    mute = command(tmp_path, "import time; print('still loading', flush=True); time.sleep(600)")
    with pytest.raises(ProcessFailed, match=r"(?s)worker does not listen.*still loading"):
        await Server(mute, config, config_file, hasty, never).keep()
