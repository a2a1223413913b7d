"""What is on the disk after a power cut at any moment of a command, replayed from what the command really did.

    python3 scripts/torture/power_loss.py COMMAND [SCENARIO...] [--states N] [--seed N]

strace records every call by which COMMAND, the built `latentbit`, changes files. After each of these calls the power is
cut in a simulation that forgets what was not synced, as disks do:

- *data* written since the last fsync of the file is there, gone, zeros, or there in some pieces and not in others;
- *names* made, replaced or removed since the last fsync of their folder are as they were up to any moment since then.

Each distinct state is written to a folder of its own, where the scenario looks whether it holds what was there before,
what is new, or something that the next run goes on from, and whether the command says so. Prints a table; exits with 1
if a state is worse than that.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import http.server
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "testdata" / "golden" / "storage-int8.safetensors"
CALLS = (
    "openat,open,creat,close,dup,dup2,dup3,fcntl,read,pread64,lseek,write,pwrite64,writev,pwritev,ftruncate,truncate,"
    "copy_file_range,sendfile,fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,fallocate"
)


# What is there after a cut, by path: contents of files, targets of links, None for folders.
State = dict[str, bytes | str | None]


class File:
    """A file: what is on the disk for certain, and what was written since."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = durable
        self.pending: list[tuple[int, bytes | None]] = []  # offset and data; no data: cut off there

    def content(self, kept: Callable[[int], str] | None = None) -> bytes:
        """With all that was written, or as `kept` says of each piece: "all", "zeros" or "lost"."""
        data = bytearray(self.durable)
        for number, (at, piece) in enumerate(self.pending):
            fate = kept(number) if kept else "all"
            if fate == "lost":
                continue
            if piece is None:
                del data[at:]
                data.extend(bytes(at - len(data)))
                continue
            data.extend(bytes(max(0, at + len(piece) - len(data))))
            data[at : at + len(piece)] = piece if fate == "all" else bytes(len(piece))
        return bytes(data)

    def sync(self) -> None:
        self.durable, self.pending = self.content(), []


@dataclass
class Change:
    """Names of a folder that change at once: to a file or folder, a link's target, or to nothing."""

    names: dict[str, object]
    # The change of another folder that must be on the disk before this one: a file that moves is never nowhere.
    after: Change | None = None


class Folder:
    def __init__(self) -> None:
        self.durable: dict[str, object] = {}
        self.pending: list[Change] = []

    def now(self) -> dict[str, object]:
        return self.at(len(self.pending))

    def at(self, count: int) -> dict[str, object]:
        names = dict(self.durable)
        for change in self.pending[:count]:
            for name, what in change.names.items():
                if what is None:
                    names.pop(name, None)
                else:
                    names[name] = what
        return names

    def sync(self) -> None:
        self.durable, self.pending = self.now(), []


@dataclass
class Open:
    what: object
    at: int = 0
    append: bool = False


def text(quoted: str) -> bytes:
    """A string of strace, which writes each byte as `\\x00`."""
    return bytes.fromhex(quoted.replace("\\x", ""))


QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


@dataclass
class Disk:
    """A folder of the world, `root`, and all that happens in it."""

    root: Path
    top: Folder = field(default_factory=Folder)
    fds: dict[int, Open] = field(default_factory=dict)

    def load(self) -> None:
        """What is there before the command runs is on the disk."""

        def folder(path: Path) -> Folder:
            made = Folder()
            for entry in path.iterdir():
                if entry.is_symlink():
                    made.durable[entry.name] = os.readlink(entry)
                elif entry.is_dir():
                    made.durable[entry.name] = folder(entry)
                else:
                    made.durable[entry.name] = File(entry.read_bytes())
            return made

        self.top = folder(self.root)

    # -- names --

    def split(self, path: str) -> tuple[Folder, str] | None:
        """The folder of a path and the name in it; None if it is not below the root."""
        whole = os.path.normpath(os.path.join(self.root, path))
        inside = os.path.relpath(whole, self.root)
        if inside.startswith(".."):
            return None
        folder, parts = self.top, [] if inside == "." else inside.split("/")
        for part in parts[:-1]:
            found = folder.now().get(part)
            if not isinstance(found, Folder):
                return None
            folder = found
        return folder, parts[-1] if parts else "."

    def find(self, path: str) -> object | None:
        place = self.split(path)
        if place is None:
            return None
        folder, name = place
        found = folder if name == "." else folder.now().get(name)
        return self.find(os.path.join(os.path.dirname(path), found)) if isinstance(found, str) else found

    def rename(self, old: str, new: str) -> bool:
        source, target = self.split(old), self.split(new)
        if source is None or target is None:
            return False
        what = source[0].now()[source[1]]
        if source[0] is target[0]:
            source[0].pending.append(Change({source[1]: None, target[1]: what}))
        else:
            made = Change({target[1]: what})
            target[0].pending.append(made)
            source[0].pending.append(Change({source[1]: None}, made))
        return True

    # -- calls --

    def call(self, name: str, arguments: str, result: int) -> bool:
        """Does what a call did; whether that changed what a power cut may leave."""
        if result < 0:
            return False
        strings = [text(found[0]).decode("utf-8", "surrogateescape") for found in QUOTED.findall(arguments)]
        numbers = [int(part) for part in re.findall(r"(?<![\w\\\"])-?\d+(?![\w\"])", QUOTED.sub('""', arguments))]
        match name:
            case "openat" | "open" | "creat":
                return self.opened(strings[0], arguments, result)
            case "close":
                self.fds.pop(numbers[0], None)
            case "dup" | "dup2" | "dup3" if numbers[0] in self.fds:
                self.fds[result] = self.fds[numbers[0]]
            case "fcntl" if "F_DUPFD" in arguments and numbers[0] in self.fds:
                self.fds[result] = self.fds[numbers[0]]
            case "read" if numbers[0] in self.fds:
                self.fds[numbers[0]].at += result
            case "lseek" if numbers[0] in self.fds:
                self.fds[numbers[0]].at = result
            case "write" | "writev":
                return self.wrote(numbers[0], "".join(strings_of(arguments))[: 2 * result], None)
            case "pwrite64" | "pwritev":
                return self.wrote(numbers[0], "".join(strings_of(arguments))[: 2 * result], numbers[-1])
            case "copy_file_range" | "sendfile":
                return self.copied(name, numbers, result)
            case "ftruncate" if numbers[0] in self.fds:
                file = self.fds[numbers[0]].what
                assert isinstance(file, File)
                file.pending.append((numbers[1], None))
                return True
            case "fsync" | "fdatasync" if numbers[0] in self.fds:
                what = self.fds[numbers[0]].what
                assert isinstance(what, File | Folder)
                what.sync()
                return True
            case "rename" | "renameat" | "renameat2":
                return self.rename(*strings)
            case "link" | "linkat":
                return self.linked(*strings)
            case "symlink" | "symlinkat":
                return self.named(strings[1], strings[0])
            case "mkdir" | "mkdirat":
                return self.named(strings[0], Folder())
            case "unlink" | "unlinkat" | "rmdir":
                return self.named(strings[0], None)
            case "truncate" | "fallocate":
                raise SystemExit(f"{name}: the simulation does not know this call")
        return False

    def named(self, path: str, what: object) -> bool:
        place = self.split(path)
        if place is None:
            return False
        place[0].pending.append(Change({place[1]: what}))
        return True

    def opened(self, path: str, arguments: str, fd: int) -> bool:
        self.fds.pop(fd, None)
        if "O_TMPFILE" in arguments:
            if isinstance(self.find(path), Folder):
                self.fds[fd] = Open(File())
            return False
        what, changed = self.find(path), False
        if what is None:
            place = self.split(path)
            if place is None or "O_CREAT" not in arguments:
                return False
            what, changed = File(), True
            place[0].pending.append(Change({place[1]: what}))
        if isinstance(what, File) and "O_TRUNC" in arguments and what.content():
            what.pending.append((0, None))
            changed = True
        self.fds[fd] = Open(what, append="O_APPEND" in arguments)
        return changed

    def wrote(self, fd: int, hexadecimal: str, at: int | None) -> bool:
        opened = self.fds.get(fd)
        if opened is None or not isinstance(opened.what, File):
            return False
        data = bytes.fromhex(hexadecimal)
        place = len(opened.what.content()) if opened.append else opened.at if at is None else at
        opened.what.pending.append((place, data))
        if at is None:
            opened.at = place + len(data)
        return bool(data)

    def copied(self, name: str, numbers: list[int], count: int) -> bool:
        source, target = (numbers[0], numbers[1]) if name == "copy_file_range" else (numbers[1], numbers[0])
        opened, other = self.fds.get(target), self.fds.get(source)
        if opened is None or not isinstance(opened.what, File):
            return False
        assert other and isinstance(other.what, File), "copied from a file that is not followed"
        data = other.what.content()[other.at : other.at + count]
        other.at += count
        return self.wrote(target, data.hex(), None)

    def linked(self, old: str, new: str) -> bool:
        found = re.fullmatch(r"/proc/self/fd/(\d+)", old)
        what = self.fds[int(found[1])].what if found and int(found[1]) in self.fds else self.find(old)
        return what is not None and self.named(new, what)

    # -- cuts --

    def state(self, pick: Callable[[int], int], kept: Callable[[int], str]) -> State:
        """`pick` says how many changes of a folder, of so many, are there; `kept` what became of a piece of data."""
        counts: dict[int, int] = {}
        done: set[int] = set()
        folders: list[Folder] = []

        def gather(folder: Folder) -> None:
            folders.append(folder)
            for names in [folder.durable, *(change.names for change in folder.pending)]:
                for what in names.values():
                    if isinstance(what, Folder) and what not in folders:
                        gather(what)

        gather(self.top)
        for folder in folders:
            counts[id(folder)] = pick(len(folder.pending))
        changed = True
        while changed:
            changed = False
            done = {id(change) for folder in folders for change in folder.pending[: counts[id(folder)]]}
            pending = {id(change) for folder in folders for change in folder.pending}
            for folder in folders:
                for number, change in enumerate(folder.pending[: counts[id(folder)]]):
                    if change.after and id(change.after) in pending and id(change.after) not in done:
                        counts[id(folder)], changed = number, True
                        break
        found: State = {}

        def walk(folder: Folder, place: str) -> None:
            for name, what in folder.at(counts[id(folder)]).items():
                if isinstance(what, Folder):
                    found[place + name] = None
                    walk(what, place + name + "/")
                elif isinstance(what, File):
                    found[place + name] = what.content(kept)
                elif isinstance(what, str):
                    found[place + name] = what

        walk(self.top, "")
        return found

    def states(self, chance: random.Random) -> Iterator[State]:
        """Some of what a cut at this moment may leave: the extremes, and some by chance."""
        for pick in (lambda count: 0, lambda count: count):
            for fate in ("all", "lost", "zeros"):
                yield self.state(pick, lambda number, fate=fate: fate)  # type: ignore[misc]
        for _ in range(3):
            yield self.state(
                lambda count: chance.randint(0, count), lambda number: chance.choice(("all", "lost", "zeros"))
            )


def strings_of(arguments: str) -> list[str]:
    found = QUOTED.findall(arguments)
    assert not any(cut for _, cut in found), "strace left a part of the data out"
    return [part.replace("\\x", "") for part, _ in found]


def recorded(line: list[str], work: Path, env: dict[str, str]) -> tuple[int, Iterator[tuple[str, str, int]]]:
    """Runs a command in `work`: its exit code; its calls with arguments and results, in the order they were done."""
    trace = tempfile.NamedTemporaryFile(mode="r", suffix=".strace")
    strace = [
        "strace",
        "-f",
        "-qq",
        "-o",
        trace.name,
        "-xx",
        "-s",
        str(1 << 26),
        "-e",
        f"trace={CALLS}",
        "-e",
        "signal=none",
    ]
    done = subprocess.run([*strace, *line], cwd=work, env=env, capture_output=True, check=False)
    if not os.path.getsize(trace.name):
        raise SystemExit(f"strace does not work here: {done.stderr.decode(errors='replace')}")

    def calls() -> Iterator[tuple[str, str, int]]:
        waiting: dict[str, str] = {}
        with trace:
            for whole in trace:
                thread, _, rest = whole.rstrip("\n").partition(" ")
                rest = rest.lstrip()
                if rest.endswith("<unfinished ...>"):
                    waiting[thread] = rest.removesuffix("<unfinished ...>")
                    continue
                if rest.startswith("<... "):
                    rest = waiting.pop(thread) + rest.partition("resumed>")[2]
                name, _, rest = rest.partition("(")
                ended = re.search(r"\) += (-?\d+)[^)]*(\([^)]*\))?$", rest)
                if ended:
                    yield name, rest[: ended.start()], int(ended[1])

    return done.returncode, calls()


@dataclass
class Scenario:
    """A command, what is there before it, and what may be there after a cut."""

    name: str
    about: str
    before: Callable[[Path, Runner], None]
    line: str
    # What a state is: "old", "new", "recoverable ...", or a word that is none of these.
    judge: Callable[[Path, Runner], str]


class Runner:
    """Runs the command."""

    def __init__(self, command: str, work: Path) -> None:
        self.command = command
        foreign = ("proxy", "hf_")
        self.env = {name: value for name, value in os.environ.items() if not any(f in name.lower() for f in foreign)}
        self.env |= {"LATENTBIT_MODELS": "models", "TMPDIR": str(work), "RUST_BACKTRACE": "0"}
        # What huggingface_hub keeps of its own is no part of this.
        self.env |= {"HF_ENDPOINT": hub(), "HF_HOME": str(work / "huggingface")}

    def line(self, words: str) -> list[str]:
        return [self.command, *words.replace("{m}", f"--model {MODEL} --dtype f32 --threads 1").split()]

    def __call__(self, words: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.line(words), cwd=folder, env=self.env, capture_output=True, check=False)


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub that has MODEL under any name, as the hub answers for files that it holds itself."""

    protocol_version = "HTTP/1.1"

    def answer(self, *, body: bool) -> None:
        content = MODEL.read_bytes()
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("X-Repo-Commit", "0123456789abcdef0123456789abcdef01234567")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.end_headers()
        if body:
            self.wfile.write(content[start:])

    def do_HEAD(self) -> None:  # noqa: N802, the name that the library asks for
        self.answer(body=False)

    def do_GET(self) -> None:  # noqa: N802
        self.answer(body=True)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass


@functools.cache
def hub() -> str:
    """The address of a hub on this machine, which runs until this program ends."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def clip(path: Path, frames: int, seed: int = 0) -> None:
    """A video of 24x16 pixels as y4m."""
    out = bytearray(b"YUV4MPEG2 W24 H16 F25:1 Ip A1:1 C420jpeg\n")
    for frame in range(frames):
        out += b"FRAME\n" + bytes((i * 7 + frame * 11 + seed * 31) % 200 + 20 for i in range(24 * 16 * 3 // 2))
    path.write_bytes(out)


def tree(folder: Path, skip: tuple[str, ...] = ()) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = ((path.relative_to(folder).as_posix(), path) for path in files)
    return {name: path.read_bytes() for name, path in named if not any(part in name for part in skip)}


def scenarios() -> list[Scenario]:
    """The matrix. `expected/` holds what is right, and is no part of the simulation."""

    def two_clips(work: Path, run: Runner) -> None:
        clip(work / "a.y4m", 20)
        clip(work / "b.y4m", 9, seed=1)

    def old_file(work: Path, run: Runner) -> None:
        two_clips(work, run)
        assert run("encode b.y4m -o out.lbit --bits 10 {m}", work).returncode == 0

    def without_index(work: Path, run: Runner) -> None:
        two_clips(work, run)
        assert run("encode a.y4m -o out.lbit --bits 10 --group 1 {m}", work).returncode == 0
        data = (work / "out.lbit").read_bytes()
        (work / "out.lbit").write_bytes(data[: data.rindex(b"\xa7LB\nindx")])

    def output(folder: Path, run: Runner) -> str:
        """An output under its name is whole, or is what was there before, or nothing where nothing was."""
        new, old = (folder / "expected/new").read_bytes(), folder / "expected/old"
        found = folder / "out.lbit"
        if not found.exists():
            return "lost" if old.exists() else "old"
        if found.read_bytes() == new:
            return "new"
        return "old" if old.exists() and found.read_bytes() == old.read_bytes() else "damaged"

    archive = "archive a.y4m b.y4m -o archive -q --bits 10 {m}"
    skip = (".archive", "report.")

    def archived(form: str) -> Callable[[Path, Runner], str]:
        def judge(folder: Path, run: Runner) -> str:
            """The same command again goes on to the same archive, whatever was lost."""
            expected = tree(folder / "expected/archive", skip)
            complete = (folder / "archive").is_dir() and tree(folder / "archive", skip) == expected
            again = run(archive + form, folder)
            if again.returncode != 0:
                return f"stuck: {again.stderr.decode(errors='replace').strip()[-200:]}"
            if tree(folder / "archive", skip) != expected:
                return "different"
            check = run("archive --check archive", folder)
            if check.returncode != 0:
                return f"bad: {check.stderr.decode(errors='replace').strip()[-200:]}"
            return "new" if complete else "recoverable: the same command goes on"

        return judge

    def kept(command: str) -> Callable[[Path, Runner], str]:
        return lambda folder, run: model(folder, run, command)

    def model(folder: Path, run: Runner, command: str) -> str:
        """A model is kept whole, or not at all, or the same command puts it right."""
        listed = run("models list --json", folder)
        if listed.returncode != 0:
            return f"cannot be listed: {listed.stderr.decode(errors='replace').strip()[-200:]}"
        names = [model["name"] for model in json.loads(listed.stdout)["models"]]
        if "mine" in names:
            verified = run("models verify mine", folder)
            if verified.returncode == 0:
                return "new"
            return (
                "recoverable: verify says that it is damaged"
                if run(command + " -y", folder).returncode == 0
                else "stuck"
            )
        again = run(command, folder)
        if again.returncode != 0:
            return f"stuck: {again.stderr.decode(errors='replace').strip()[-200:]}"
        # What came before the cut was taken up again, perhaps, and must be right.
        return "old" if run("models verify mine", folder).returncode == 0 else "damaged after all"

    add = f"models add {MODEL} --name mine"
    pull = f"models pull o/r/{MODEL.name} --name mine"
    return [
        Scenario("encode", "to a new name", two_clips, "encode a.y4m -o out.lbit --bits 10 --group 1 {m}", output),
        Scenario(
            "encode-over", "over an older file, with -y", old_file, "encode a.y4m -o out.lbit -y --bits 10 {m}", output
        ),
        Scenario("trim-over", "a copy over an older file", old_file, "trim out.lbit --bits 5 -o out.lbit -y", output),
        Scenario("index", "in place", without_index, "index out.lbit", output),
        Scenario("archive", "files", two_clips, archive, archived("")),
        Scenario(
            "archive-shards", "shards", two_clips, archive + " --format webdataset", archived(" --format webdataset")
        ),
        Scenario("models-add", "a model", two_clips, add, kept(add)),
        Scenario("models-pull", "a model from a hub", two_clips, pull, kept(pull)),
    ]


@dataclass
class Outcome:
    cuts: int = 0
    states: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    worse: list[str] = field(default_factory=list)


def simulate(scenario: Scenario, command: str, most: int, seed: int) -> Outcome:
    """Cuts the power at every moment of a scenario; looks at `most` of the states that this may leave."""
    outcome, chance = Outcome(), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="latentbit-power-") as base:
        work = Path(base, "work")
        work.mkdir()
        run = Runner(command, Path(base))
        scenario.before(work, run)
        expected = Path(base, "expected")
        expected.mkdir()
        if (work / "out.lbit").exists():
            shutil.copyfile(work / "out.lbit", expected / "old")
        disk = Disk(work)
        disk.load()
        code, calls = recorded(run.line(scenario.line), work, run.env)
        if code != 0:
            raise SystemExit(f"{scenario.name}: the command ended with {code}")
        if (work / "out.lbit").exists():
            shutil.copyfile(work / "out.lbit", expected / "new")
        if (work / "archive").exists():
            shutil.copytree(work / "archive", expected / "archive")
        found: dict[str, tuple[int, State]] = {}
        number = 0
        for name, arguments, result in calls:
            if disk.call(name, arguments, result):
                number += 1
                for state in disk.states(chance):
                    found.setdefault(digest(state), (number, state))
        # With nothing cut, the simulation must have seen all that there is.
        last = disk.state(lambda count: count, lambda number: "all")
        real = {path.relative_to(work).as_posix() for path in work.rglob("*")}
        if set(last) != real or any(
            isinstance(what, bytes) and (work / path).read_bytes() != what for path, what in last.items()
        ):
            raise SystemExit(f"{scenario.name}: the simulation differs from what is there: {set(last) ^ real}")
        outcome.cuts = number
        ended = {digest(state) for state in disk.states(chance)}
        keys = sorted(found, key=lambda key: found[key][0])
        if len(keys) > most:
            # The last states are those in which names change.
            keys = (
                sorted(chance.sample(keys[: -most // 3], most - most // 3), key=lambda key: found[key][0])
                + keys[-most // 3 :]
            )
        for key in keys:
            moment, state = found[key]
            folder = Path(base, "state")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for path, what in sorted(state.items()):
                if what is None:
                    (folder / path).mkdir(parents=True, exist_ok=True)
            for path, what in state.items():
                if isinstance(what, bytes):
                    (folder / path).write_bytes(what)
                elif isinstance(what, str):
                    (folder / path).symlink_to(what)
            (folder / "expected").symlink_to(expected)
            verdict = scenario.judge(folder, run)
            outcome.states += 1
            kind = verdict.split(":")[0]
            outcome.verdicts[kind] = outcome.verdicts.get(kind, 0) + 1
            if kind not in ("old", "new", "recoverable"):
                outcome.worse.append(f"after change {moment} of {number}: {verdict}")
            elif kind != "new" and key in ended:
                outcome.worse.append(f"after the end, which said that all is done: {verdict}")
    return outcome


def digest(state: State) -> str:
    return hashlib.sha256(repr(sorted(state.items(), key=lambda item: item[0])).encode()).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command")
    parser.add_argument("scenarios", nargs="*")
    parser.add_argument("--states", type=int, default=60, help="most states to look at of each scenario")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    command = str(Path(options.command).resolve())
    bad = 0
    print("| scenario | moments | states | old | new | recoverable | worse |\n|---|---|---|---|---|---|---|")
    for scenario in scenarios():
        if options.scenarios and scenario.name not in options.scenarios:
            continue
        outcome = simulate(scenario, command, options.states, options.seed)
        counts = [outcome.verdicts.get(kind, 0) for kind in ("old", "new", "recoverable")]
        row = [f"{scenario.name} ({scenario.about})", outcome.cuts, outcome.states, *counts, len(outcome.worse)]
        print(f"| {' | '.join(map(str, row))} |", flush=True)
        for worse in outcome.worse[:10]:
            print(f"{scenario.name}: {worse}", file=sys.stderr)
        bad += len(outcome.worse)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
