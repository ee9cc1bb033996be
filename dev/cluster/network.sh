# shellcheck shell=bash
# shellcheck disable=SC2154 # the variables are those of environment.sh
# The node's network: a bridge of our own, and pods that reach each other but not the outside. Sourced by up.sh.

sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
# Make /run/netns a shared mount now. Done later, by some test's first "ip netns add", it would pin the pods'
# namespaces ("remove netns: device or resource busy"), and no pod could be deleted any more.
ip netns add sagashop && ip netns del sagashop
ip link show kube0 >/dev/null 2>&1 || ip link add kube0 type bridge
ip addr replace "$node_ip/32" dev kube0
ip link set kube0 up

iptables -w -N SAGASHOP 2>/dev/null || iptables -w -F SAGASHOP
iptables -w -A SAGASHOP -s "$pod_cidr" -d "$pod_cidr" -j ACCEPT
iptables -w -A SAGASHOP -s "$pod_cidr" ! -d "$pod_cidr" -m conntrack --ctstate NEW -m addrtype ! --dst-type LOCAL -j REJECT
iptables -w -C FORWARD -j SAGASHOP 2>/dev/null || iptables -w -I FORWARD -j SAGASHOP
