"""Runs a Terraform 0.12 to 0.15 that was built without the process around it: `unwrapped.py PROGRAM [ARGUMENT]...`

A Terraform of that age starts itself again, and the outer one sorts what the inner one writes: the inner one's stdout carries a
mark at the beginning of each message, `o:` for stdout and `e:` for stderr, and its stderr is the log (0.15 writes errors there,
too). In the wheels on PyPI the outer one is missing. This does its part.
"""

import re
import subprocess
import sys

LOGGED = re.compile(rb"([\dTZ/:. -]+ )?\[[A-Z]+\] | - ")

with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as inner:
    out, log = inner.communicate()
streams = {b"o:": sys.stdout.buffer, b"e:": sys.stderr.buffer}
stream = sys.stdout.buffer
for line in out.removesuffix(b"\n").split(b"\n") if out else []:
    if line[:2] in streams:
        stream, line = streams[line[:2]], line[2:]
    stream.write(line + b"\n")
sys.stderr.buffer.writelines(line for line in log.splitlines(keepends=True) if not LOGGED.match(line))
sys.stdout.flush()
sys.stderr.flush()
sys.exit(inner.returncode)
