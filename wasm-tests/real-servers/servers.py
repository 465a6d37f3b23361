"""Processes, and plain HTTP to talk to them. Every wait is bounded, and a process is ended by its own id."""

import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass


class Process:
    """A server that is started, stopped and started again. It sees nothing of the environment but what it is given."""

    def __init__(self, name, argv, work, ready, environment=None):
        self.name, self.argv, self.ready = name, [str(part) for part in argv], ready
        self.log = pathlib.Path(work, f"{name}.log")
        self.home = pathlib.Path(work, name)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self.process = None

    def start(self, seconds=90):
        """Returns once it answers."""
        self.home.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, cwd=self.home, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if not wait_for(lambda: self.process.poll() is not None or answers(self.ready), seconds):
            raise SystemExit(f"{self.name} did not start within {seconds} s:\n{self.last_words()}")
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended at its start:\n{self.last_words()}")

    def stop(self, how=signal.SIGTERM):
        """Returns once it is gone."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=10)
        self.process = None

    def last_words(self):
        return "".join(f"  | {line}\n" for line in self.log.read_text(errors="replace").splitlines()[-25:])


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes
    seconds: float

    def json(self):
        return json.loads(self.body)

    def lines(self):
        return [json.loads(line) for line in self.body.splitlines() if line.strip()]


def ask(method, url, body=None, headers=None, timeout=30):
    """One request; any status is an answer, no answer is an OSError."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})}, method=method)
    started = time.monotonic()
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        text = response.read()
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, names, text, time.monotonic() - started)


def answers(url):
    try:
        return ask("GET", url, timeout=2).status == 200
    except OSError:
        return False


def wait_for(condition, seconds, pause=0.1):
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
