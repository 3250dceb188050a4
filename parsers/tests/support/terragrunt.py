#!/usr/bin/env python3
"""Writes the fixtures fixtures/*/terragrunt_*: recorded plans of Terraform, decorated as Terragrunt does it.

Terragrunt splits each write of its child at line ends, drops what is empty, ends a line that holds an escape sequence with a reset, and
writes one record of its log for each line: standard output as level STDOUT to its own standard output, standard error as STDERR to
standard error (pkg/log/writer, internal/tf/run_cmd, pkg/log/format, internal/report of Terragrunt 0.99 and 1.1). The format json doesn't
split a write. Before 0.67 lines were raw, or had the unit's path in brackets.

Usage, from the project's folder: parsers/tests/support/terragrunt.py, then UPDATE_FIXTURES=1 cargo test -p driftrun-parsers --test fixtures
"""
import json
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3] / "fixtures"
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
RULE = "   " + "─" * 28
NOTE = "# A recorded plan of Terraform for each unit, decorated by parsers/tests/support/terragrunt.py as Terragrunt's source does it: "


def recorded(case, stream="stdout", parser="terraform"):
    return (ROOT / parser / case / stream).read_bytes().decode()


class Clock:
    def __init__(self):
        self.ms = 0

    def __call__(self):
        self.ms += 1
        return "14:27:%02d.%03d" % (45 + self.ms // 1000, self.ms % 1000)


def pretty(level, unit, text, clock, colours, binary="terraform: "):
    unit = f"[{unit}] " if unit else ""
    if not colours:
        return f"{clock()} {level:<6} {unit}{binary}{text}\n"
    unit = f"\x1b[38;5;66m{unit}\x1b[0m" if unit else ""
    binary = f"\x1b[36m{binary}\x1b[0m" if binary else ""
    level = {"STDERR": "\x1b[31mSTDERR\x1b[0m", "ERROR": "\x1b[31mERROR \x1b[0m"}.get(level, f"{level:<6}")
    return f"\x1b[90m{clock()}\x1b[0m {level} {unit}{binary}{text}\n"


def key_value(level, unit, text, _clock, _colours, _binary=None):
    text = ESCAPE.sub("", text)
    path = " tf-path=terraform" if level in ("STDOUT", "STDERR") else ""
    return f"time=2026-05-01T14:27:45Z level={level.lower()} prefix={unit}{path} msg={text}\n"


def in_json(level, unit, text, _clock, _colours, _binary=None):
    escape = lambda s: json.dumps(s, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    text = escape(ESCAPE.sub("", text))
    return (
        f'{{"time":"2026-05-01T14:27:45Z", "level":"{level.lower()}", "working-dir":{escape("/srv/live/" + unit)}, '
        f'"tf-path":"terraform", "tf-command-args":["plan","-detailed-exitcode"], "msg":{text}}}\n'
    )


def brackets(_level, unit, text, _clock, _colours, _binary=None):
    return f"[/srv/live/{unit}] {text}\n"


def lines(text):
    return [line + "\x1b[0m" if "\x1b" in line else line for line in text.split("\n") if line]


def mixed(units, split, take=5):
    """What several units write at once: a few records of each in turn."""
    rest = [(unit, split(text)) for unit, text in units]
    while any(records for _, records in rest):
        for unit, records in rest:
            for record in records[:take]:
                yield unit, record
            del records[:take]


def log(units, level, form=pretty, split=lines, colours=False):
    clock = Clock()
    return "".join(form(level, unit, text, clock, colours) for unit, text in mixed(units, split))


def summary(**counts):
    entries = "".join(f"   {label.replace('_', ' '):<11}  {n}\n" for label, n in counts.items())
    return f"\n❯❯ Run Summary  {sum(counts.values())} units  62ms\n{RULE}\n{entries}\n"


def write(parser, case, what, command, exit, stdout, stderr="", files=()):
    folder = ROOT / parser / f"terragrunt_{case}"
    shutil.rmtree(folder / "files", ignore_errors=True)
    folder.mkdir(exist_ok=True)
    (folder / "command").write_text(f"{NOTE}{what}\n{command}\n")
    (folder / "exit").write_text(f"{exit}\n")
    (folder / "stdout").write_bytes(stdout.encode())
    (folder / "stderr").write_bytes(stderr.encode())
    for path, content in files:
        path = folder / "files" / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())


def text(**units):
    return [(unit.replace("__", "/"), recorded(case)) for unit, case in units.items()]


def failures(form=pretty, colours=False, **units):
    """The errors of units, then Terragrunt's own words about them."""
    units = [(unit.replace("__", "/"), recorded(case, "stderr")) for unit, case in units.items()]
    clock = Clock()
    own = "".join(
        form("ERROR", unit, f"terraform invocation failed in ./{unit}", clock, colours, "") for unit, _ in units
    )
    last = f"{clock()} ERROR  error occurred:\n\n* Failed to execute \"terraform plan\"\n  exit status 1\n\n"
    return log(units, "STDERR", form, colours=colours) + own + last


ALL = "terragrunt run --all --non-interactive -- plan -input=false -lock=false -detailed-exitcode"
many = text(vpc="clean", live__app="files_by_hand", live__keys="odd_keys")
write("terraform", "units", "one unit without changes, two with, mixed", ALL + " -no-color", 2,
      log(many, "STDOUT") + summary(Succeeded=3))
write("terraform", "failed_units", "with colours; one unit read, one failed midway, one locked", ALL, 1,
      log(text(vpc="everything", db="failed_midway"), "STDOUT", colours=True) + summary(Succeeded=1, Failed=2),
      failures(colours=True, db="failed_midway", live__cache="locked"))
write("terraform", "all_failed", "no unit was read", ALL + " -no-color", 1, summary(Failed=2),
      failures(cache="locked", db="not_initialised"))
write("terraform", "failed_in_the_summary", "the log is off, the summary names each unit",
      "terragrunt run --all --log-disable --summary-per-unit -- plan -detailed-exitcode -no-color", 1,
      recorded("drift_and_plan")
      + f"\n❯❯ Run Summary  3 units  62ms\n{RULE}\n   Succeeded (1)\n      app .......... 31ms\n   Failed (1)\n      db ........... 12ms\n   Early Exits (1)\n      live/web ..... 0ms\n\n")
write("terraform", "key_value", "outputs alone change",
      "terragrunt run --all --log-format key-value -- plan -detailed-exitcode", 2,
      log(text(vpc="clean", app="outputs_only"), "STDOUT", key_value) + summary(Succeeded=2))
write("terraform", "json_log", "each message is a write of 700 characters",
      "terragrunt run --all --log-format json -- plan -detailed-exitcode", 2,
      log(many, "STDOUT", in_json, lambda text: [text[at:at + 700] for at in range(0, len(text), 700)]) + summary(Succeeded=3))
write("terraform", "brackets", "before 0.67", "terragrunt run-all plan --terragrunt-include-module-prefix -detailed-exitcode -no-color", 2,
      "".join(brackets(None, unit, line, None, None) for unit, line in
              mixed(text(vpc="clean", app="traps"), lambda text: text.removesuffix("\n").split("\n"))))
write("terraform", "one_unit", "one unit has no name", "terragrunt plan -detailed-exitcode -no-color", 2,
      log([("", recorded("drift_and_plan"))], "STDOUT"))
write("terraform", "forwarded", "one unit, no prefix, the summary behind it",
      "terragrunt run --all --tf-forward-stdout -- plan -detailed-exitcode -no-color", 2,
      recorded("drift_and_plan") + summary(Succeeded=1))

show = {"vpc": "clean", "live/app": "files_by_hand", "live/attributes": "attributes"}
files = [(f"plans/{unit}/tfplan.json", recorded(case, parser="terraform-show")) for unit, case in show.items()]
TO_FILES = "terragrunt run --all --json-out-dir plans -- plan -detailed-exitcode -no-color"
write("terraform-show", "units", "a file for each unit", TO_FILES, 2,
      log(text(vpc="clean", live__app="files_by_hand"), "STDOUT") + summary(Succeeded=3), files=files)
write("terraform-show", "failed_unit", "a unit that failed left no file", TO_FILES, 1,
      log(text(vpc="clean", live__app="files_by_hand", db="failed_midway"), "STDOUT") + summary(Succeeded=3, Failed=1),
      failures(db="failed_midway"), files=files)
