"""Children live, die and come back as the supervisor says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from pydantic import BaseModel

from sparring.ops.errors import ProcessFailed
from sparring.ops.process import Child, Command, python
from sparring.ops.supervisor import Patience, RestartConfig, Server, keep
from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig

QUICK = RestartConfig(most=2, first_seconds=0.01, healthy_seconds=600, start_seconds=250, stop_seconds=0.5)


def command(tmp_path: Path, source: str, *arguments: str) -> Command:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(source))
    return Command("worker", (sys.executable, str(script), *arguments), {}, tmp_path / "worker.log")


@dataclass
class Wire:
    """A named pipe that children speak into, and that ends with the last of those who hold it.

    `own` is an end that the test holds, so that it does not end between two children."""

    path: Path
    heard: asyncio.StreamReader
    own: IO[str]

    async def pid(self) -> int:
        """What the next child tells."""
        return int(await self.heard.readline())

    async def ended(self) -> None:
        """Wait for the death of all."""
        self.own.close()
        assert await self.heard.read() == b""


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    path, heard = tmp_path / "wire", asyncio.StreamReader()
    os.mkfifo(path)
    end = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    with path.open("w") as own:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(heard), end)
        yield Wire(path, heard, own)
    transport.close()


def test_grandchildren_die_with_a_killed_parent() -> None:
    """Conductor, agent, worker: SIGKILL of the first takes down the others, as with torchrun between."""
    tell = "print('alive', flush=True)"
    worker = f"import time; {tell}; time.sleep(600)"
    guarded = [*python("sparring.ops.guard"), sys.executable]
    agent = f"import subprocess; {tell}; subprocess.run({[*guarded, '-c', worker]!r}, start_new_session=True)"
    conductor = f"import subprocess; subprocess.run({[*guarded, '-c', agent]!r}, start_new_session=True)"
    with subprocess.Popen([sys.executable, "-c", conductor], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline() for _ in range(2)] == ["alive\n", "alive\n"]
        parent.kill()
        # The pipe ends with the last of those who have it open.
        assert parent.stdout.read() == ""


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


async def test_cancelling_stops_a_deaf_process(tmp_path: Path, wire: Wire) -> None:
    source = """
        import os, signal, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        wire = open(sys.argv[1], "w")
        print(os.getpid(), file=wire, flush=True)
        time.sleep(600)
    """
    task = asyncio.create_task(keep(command(tmp_path, source, str(wire.path)), QUICK))
    await wire.pid()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wire.ended()


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
    print(os.getpid(), file=open(sys.argv[2], "w"), flush=True)
    config = json.loads(pathlib.Path(sys.argv[1]).read_text())["serving"]
    sockets = [socket.create_server(("127.0.0.1", config[name])) for name in ("port", "health_port", "metrics_port")]
    names = ("grpc", "health", "metrics")
    addresses = {name: f"127.0.0.1:{s.getsockname()[1]}" for name, s in zip(names, sockets)}
    partial = pathlib.Path(config["address_file"] + ".new")
    partial.write_text(json.dumps(addresses))
    partial.replace(config["address_file"])
    time.sleep(600)
"""


async def test_a_server_comes_back_on_its_ports(tmp_path: Path, wire: Wire) -> None:
    ready: asyncio.Queue[Addresses] = asyncio.Queue()
    config_file = tmp_path / "echo.json"
    config = EchoConfig(serving=ServingConfig(address_file=str(tmp_path / "address.json")))
    echo = command(tmp_path, ECHO, str(config_file), str(wire.path))
    server = Server(echo, config, config_file, QUICK, ready.put)
    task = asyncio.create_task(server.keep())
    first = await ready.get()
    os.kill(await wire.pid(), signal.SIGKILL)
    second = await ready.get()
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


async def test_a_server_that_never_listens_is_named(
    tmp_path: Path, wire: Wire, advance: Callable[[float], None]
) -> None:
    config_file = tmp_path / "mute.json"
    config = EchoConfig(serving=ServingConfig(address_file=str(tmp_path / "address.json")))

    async def never(addresses: Addresses) -> None:
        raise AssertionError(addresses)

    source = """
        import os, sys, time
        print("still loading", flush=True)
        print(os.getpid(), file=open(sys.argv[1], "w"), flush=True)
        time.sleep(600)
    """
    mute = command(tmp_path, source, str(wire.path))
    task = asyncio.create_task(Server(mute, config, config_file, QUICK, never).keep())
    await wire.pid()
    advance(QUICK.start_seconds)
    with pytest.raises(ProcessFailed, match=r"(?s)worker does not listen after 250 s.*still loading"):
        await task
