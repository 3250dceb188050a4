# Times that are short enough to try the whole way, from a changed file to a message, in a minute:
#
#   sed -f fast.sed prometheus/prometheus.yaml
#   sed -f fast.sed prometheus/driftrun.rules.yaml
#   sed -f fast.sed alertmanager/alertmanager.yaml
#
# Nothing but times is changed. Not for use: what drifts for five seconds would be told.
s/\(_interval\): 30s/\1: 1s/
s/\([<>]\|humanizeDuration\) 900\b/\1 5/
s/\(for\): [0-9]*m$/\1: 2s/
s/group_wait: 30s/group_wait: 1s/
s/group_interval: 5m/group_interval: 1s/
