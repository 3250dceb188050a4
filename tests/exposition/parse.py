"""Prints the samples that Prometheus' own client finds in an exposition, a JSON list each: name, labels, value.

parse.py text|openmetrics < EXPOSITION
"""

import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

read = {"text": parser, "openmetrics": openmetrics}[sys.argv[1]].text_string_to_metric_families
for family in read(sys.stdin.buffer.read().decode()):
    if not family.documentation or family.type not in ("counter", "gauge", "summary"):
        sys.exit(f"{family.name}: {family.type}, {family.documentation!r}")
    for sample in family.samples:
        if sample.timestamp is not None:
            sys.exit(f"{sample.name}: a timestamp")
        print(json.dumps([sample.name, sample.labels, sample.value]))
