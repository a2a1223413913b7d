"""Options of the commands: on the command line, in a file, and as every run keeps them.

`--options FILE` takes options from a YAML or JSON file, by the names of the command line, which wins.
`--print-options` prints all of them, with the defaults filled in, as such a file. A run writes `options.json`.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from pathlib import Path
from typing import Any

FILE = "options.json"
PROGRAM = "latentbit-train"
_OWN = ("help", "options", "print_options")


def _plain(value: Any) -> Any:
    """A value as YAML knows it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def plain(args: argparse.Namespace) -> dict[str, Any]:
    """All options by their names."""
    return {name.replace("_", "-"): _plain(value) for name, value in vars(args).items() if name not in _OWN}


def store(folder: Path, args: argparse.Namespace) -> dict[str, tuple[Any, Any]]:
    """Writes `options.json` into the folder of a run; what was other in the one before, as (before, now)."""
    path, now = folder / FILE, plain(args)
    before = json.loads(path.read_text()) if path.exists() else now
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(now, indent=1) + "\n")
    return {name: (before.get(name), value) for name, value in now.items() if before.get(name) != value}


def read(path: Path) -> dict[str, Any]:
    """Options of a YAML or JSON file."""
    text = path.read_text()
    try:
        found = json.loads(text)
    except ValueError:
        found = _yaml(path, text)
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no options: expected lines of NAME: VALUE")
    return {str(name).replace("-", "_"): value for name, value in found.items()}


def _yaml(path: Path, text: str) -> Any:
    # JSON is enough on a machine that trains what others prepared.
    try:
        import yaml
    except ImportError as error:
        raise ValueError(f"{path} is no JSON, and YAML needs PyYAML (pip install pyyaml)") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is neither YAML nor JSON: {error}") from error


class Parser(argparse.ArgumentParser):
    """The parser of one command, which reads files of options too."""

    def __init__(self, command: str, description: str | None) -> None:
        super().__init__(f"{PROGRAM} {command}", description=description,
                         formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
        self.add_argument("--options", type=Path, metavar="FILE",
                          help="YAML or JSON file of options; those of the command line win")
        self.add_argument("--print-options", action="store_true", help="print all options as such a file, and end")

    def _known(self) -> dict[str, argparse.Action]:
        return {action.dest: action for action in self._actions if action.dest not in _OWN}

    def _take(self, path: Path) -> list[str]:
        """The words of a file's options; positional ones become defaults."""
        known, words = self._known(), []
        try:
            found = read(path)
        except (OSError, ValueError) as error:
            self.error(str(error))
        for name, value in found.items():
            action = known.get(name)
            if action is None:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0].replace('_', '-')}?" if near else ""
                self.error(f"{path}: there is no option {name.replace('_', '-')}{hint}")
            if value is None or value == []:
                continue
            if not action.option_strings:
                action.nargs, action.required = action.nargs or "?", False
                action.default = [str(v) for v in value] if isinstance(value, list) else str(value)
                if action.nargs == "+":
                    action.nargs = "*"
                continue
            flag = action.option_strings[0]
            if isinstance(value, bool):
                if isinstance(action, argparse.BooleanOptionalAction):
                    words.append(flag if value else action.option_strings[1])
                elif action.nargs == 0:
                    words += [flag] if value else []
                else:
                    self.error(f"{path}: {name.replace('_', '-')} is neither on nor off")
            elif action.nargs == 0:
                self.error(f"{path}: {name.replace('_', '-')} is true or false, not {value}")
            elif isinstance(value, list):
                words += [flag, *(str(v) for v in value)]
            else:
                words.append(f"{flag}={value}")
        return words

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, after the options of a file."""
        words = list(sys.argv[1:] if args is None else args)
        own = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        own.add_argument("--options", type=Path)
        try:
            file = own.parse_known_args(words)[0].options
        except argparse.ArgumentError:
            file = None  # The real parser says what is wrong.
        if file is not None:
            words = [*self._take(file), *words]
        # What is required may be missing in a list of all options.
        if "--print-options" in words:
            for action in self._known().values():
                action.required = False
                if not action.option_strings and action.nargs is None:
                    action.nargs = "?"
        parsed, rest = super().parse_known_args(words, namespace)
        if parsed.print_options:
            self._print(plain(parsed))
            self.exit()
        return parsed, rest

    def _print(self, values: dict[str, Any]) -> None:
        for action in self._known().values():
            name = action.dest.replace("_", "-")
            if action.help:
                print(f"# {' '.join(action.help.split()) % {'default': action.default}}")
            # A value of JSON is one of YAML too.
            print(f"{name}: {json.dumps(values[name])}")
