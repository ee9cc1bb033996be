# shellcheck shell=bash
# Succeeds once this node is open, and in a cluster with the majority of all nodes. MAJORITY: how many that is. AMQP_PORT: its own.
set -eu
# Most of the time it is not open yet, and a command line tool is an Erlang machine.
: 2>/dev/null </dev/tcp/localhost/$AMQP_PORT
rabbitmqctl --quiet --timeout 10 await_online_nodes "$MAJORITY"
rm -f /var/lib/rabbitmq/joining
