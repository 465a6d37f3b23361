"""The table of checks: a line each, as they are made, and all of them again as Markdown."""

import contextlib


class Table:
    def __init__(self):
        self.rows = []
        self.findings = []
        self.group = ""

    def section(self, group):
        self.group = group
        print(f"\n{group}", flush=True)

    @contextlib.contextmanager
    def check(self, name):
        """What is done inside is one check. Any exception is a failed one; notes are shown beside it."""
        notes = []
        try:
            yield notes.append
        except Exception as error:
            notes.append(f"{type(error).__name__}: {error}")
            self.add("FAILED", name, notes)
        else:
            self.add("ok", name, notes)

    def add(self, verdict, name, notes):
        note = " ".join("; ".join(str(note) for note in notes).split())
        self.rows.append((verdict, self.group, name, note))
        print(f"{verdict:<6} {name}{': ' if note else ''}{note[:400]}", flush=True)

    def found(self, what, how):
        """What a server does, without a judgement."""
        self.findings.append((what, how))
        print(f"found  {what}: {how}", flush=True)

    @property
    def failed(self):
        return sum(verdict != "ok" for verdict, *_ in self.rows)

    def summary(self):
        return f"{len(self.rows) - self.failed} passed, {self.failed} failed"

    def markdown(self):
        def cell(text):
            return text.replace("|", "\\|")

        lines = ["| | servers | check | |", "| --- | --- | --- | --- |"]
        lines += [f"| {verdict} | {group} | {cell(name)} | {cell(note)} |" for verdict, group, name, note in self.rows]
        lines += ["", "What the servers do besides:", "", "| what | how |", "| --- | --- |"]
        lines += [f"| {cell(what)} | {cell(how)} |" for what, how in self.findings]
        return "\n".join(lines) + "\n"


def equal(got, wanted, what):
    if got == wanted:
        return
    if isinstance(got, list) and isinstance(wanted, list):
        # The first that differ say it all.
        at = next((at for at, pair in enumerate(zip(got, wanted)) if pair[0] != pair[1]), min(len(got), len(wanted)))
        parts = f"of {len(got)} parts, not {len(wanted)}" if len(got) != len(wanted) else "parts"
        raise AssertionError(f"{what}: {parts}; the {at}th is {got[at:at + 1]}, not {wanted[at:at + 1]}")
    raise AssertionError(f"{what}: {got!r}, not {wanted!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)
