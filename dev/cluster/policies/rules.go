// Package policies enforces NetworkPolicies on a single node with nftables: it turns all policies, pods and namespaces
// into one ruleset, which replaces the last one at once.
package policies

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Cluster is what policies depend on.
type Cluster struct {
	Pods       []*v1.Pod
	Namespaces []*v1.Namespace
	Policies   []*netv1.NetworkPolicy
}

const table = "sagashop_policies"

// Connections are judged when they begin, twice: may the source send, may the target receive? What the node itself
// sends (probes, kubectl port-forward) passes neither hook, as Kubernetes wants it. A chain returns what it allows.
const skeleton = `table ip %[1]s {}
delete table ip %[1]s
table ip %[1]s {
%[2]s  chain egress {
    ct state established,related accept
    ip saddr vmap { %[3]s }
  }
  chain ingress {
    ip daddr vmap { %[4]s }
  }
  chain forward {
    type filter hook forward priority filter - 5; policy accept;
    jump egress
    jump ingress
  }
  chain input {
    type filter hook input priority filter - 5; policy accept;
    jump egress
  }
}
`

// Ruleset is the input of `nft -f -` that enforces the cluster's policies.
func Ruleset(cluster Cluster) (string, error) {
	var chains, senders, receivers strings.Builder
	for _, pod := range cluster.addressed() {
		for _, direction := range []netv1.PolicyType{netv1.PolicyTypeEgress, netv1.PolicyTypeIngress} {
			rules, isolated, err := cluster.allowed(pod, direction)
			if err != nil {
				return "", err
			}
			if !isolated {
				continue
			}
			chain := fmt.Sprintf("%s_%s", strings.ToLower(string(direction)), strings.ReplaceAll(pod.Status.PodIP, ".", "_"))
			fmt.Fprintf(&chains, "  chain %s { # %s/%s\n", chain, pod.Namespace, pod.Name)
			for _, rule := range rules {
				fmt.Fprintf(&chains, "    %s\n", strings.Join(append(rule, "return"), " "))
			}
			chains.WriteString("    reject with icmp type admin-prohibited\n  }\n")
			element := fmt.Sprintf("%s : jump %s, ", pod.Status.PodIP, chain)
			if direction == netv1.PolicyTypeEgress {
				senders.WriteString(element)
			} else {
				receivers.WriteString(element)
			}
		}
	}
	// nft accepts no empty map: an address that no pod has keeps each map alive.
	const nobody = "0.0.0.0 : continue"
	return fmt.Sprintf(skeleton, table, chains.String(), senders.String()+nobody, receivers.String()+nobody), nil
}

// addressed are the pods that have an address of their own, each address once, in a stable order.
func (c Cluster) addressed() []*v1.Pod {
	byAddress := map[string]*v1.Pod{}
	for _, pod := range c.Pods {
		ended := pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
		if pod.Status.PodIP != "" && !ended && !pod.Spec.HostNetwork {
			byAddress[pod.Status.PodIP] = pod
		}
	}
	pods := make([]*v1.Pod, 0, len(byAddress))
	for _, pod := range byAddress {
		pods = append(pods, pod)
	}
	slices.SortFunc(pods, func(a, b *v1.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
	return pods
}

// allowed are the matches that let a packet through, and whether any policy isolates the pod in that direction.
func (c Cluster) allowed(pod *v1.Pod, direction netv1.PolicyType) (rules [][]string, isolated bool, err error) {
	for _, policy := range c.sortedPolicies() {
		if policy.Namespace != pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, direction) {
			continue
		}
		selects, err := matches(&policy.Spec.PodSelector, pod.Labels)
		if err != nil {
			return nil, false, err
		}
		if !selects {
			continue
		}
		isolated = true
		if direction == netv1.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				peers, err := c.peers(rule.From, policy.Namespace)
				if err != nil {
					return nil, false, err
				}
				rules = append(rules, ingressRules(peers, rule.Ports, pod)...)
			}
			continue
		}
		for _, rule := range policy.Spec.Egress {
			peers, err := c.peers(rule.To, policy.Namespace)
			if err != nil {
				return nil, false, err
			}
			rules = append(rules, c.egressRules(peers, rule.Ports)...)
		}
	}
	return rules, isolated, nil
}

// sortedPolicies makes equal clusters give equal rulesets: informers list in any order.
func (c Cluster) sortedPolicies() []*netv1.NetworkPolicy {
	return slices.SortedFunc(slices.Values(c.Policies), func(a, b *netv1.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
}

// peers of a rule: everyone, or some pods and some address blocks.
type peers struct {
	everyone bool
	pods     []*v1.Pod
	blocks   []*netv1.IPBlock
}

func (c Cluster) peers(of []netv1.NetworkPolicyPeer, namespace string) (peers, error) {
	found := peers{everyone: len(of) == 0}
	for _, peer := range of {
		if peer.IPBlock != nil {
			found.blocks = append(found.blocks, peer.IPBlock)
			continue
		}
		for _, pod := range c.addressed() {
			isPeer, err := c.isPeer(pod, peer, namespace)
			if err != nil {
				return found, err
			}
			if isPeer {
				found.pods = append(found.pods, pod)
			}
		}
	}
	return found, nil
}

func (c Cluster) isPeer(pod *v1.Pod, peer netv1.NetworkPolicyPeer, namespace string) (bool, error) {
	if peer.NamespaceSelector == nil {
		if pod.Namespace != namespace {
			return false, nil
		}
	} else if here, err := matches(peer.NamespaceSelector, c.namespaceLabels(pod.Namespace)); err != nil || !here {
		return false, err
	}
	if peer.PodSelector == nil {
		return true, nil
	}
	return matches(peer.PodSelector, pod.Labels)
}

func (c Cluster) namespaceLabels(name string) map[string]string {
	for _, namespace := range c.Namespaces {
		if namespace.Name == name {
			return namespace.Labels
		}
	}
	return nil
}

func matches(selector *metav1.LabelSelector, of map[string]string) (bool, error) {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, err
	}
	return parsed.Matches(labels.Set(of)), nil
}

// addresses are matches of the peers on one side ("saddr" or "daddr") of a packet.
func (p peers) addresses(side string) (found []string) {
	if p.everyone {
		return []string{""}
	}
	if len(p.pods) > 0 {
		found = append(found, fmt.Sprintf("ip %s { %s }", side, strings.Join(addressesOf(p.pods), ", ")))
	}
	for _, block := range p.blocks {
		match := fmt.Sprintf("ip %s %s", side, block.CIDR)
		for _, except := range block.Except {
			match += fmt.Sprintf(" ip %s != %s", side, except)
		}
		found = append(found, match)
	}
	return found
}

func addressesOf(pods []*v1.Pod) []string {
	found := make([]string, 0, len(pods))
	for _, pod := range pods {
		found = append(found, pod.Status.PodIP)
	}
	return found
}

func ingressRules(from peers, ports []netv1.NetworkPolicyPort, target *v1.Pod) [][]string {
	return product(from.addresses("saddr"), portsOf(ports, target))
}

// A port's name means another number on every target: such rules are written for each target.
func (c Cluster) egressRules(to peers, ports []netv1.NetworkPolicyPort) (rules [][]string) {
	named := slices.ContainsFunc(ports, func(port netv1.NetworkPolicyPort) bool {
		return port.Port != nil && port.Port.Type == intstr.String
	})
	if !named {
		return product(to.addresses("daddr"), portsOf(ports, nil))
	}
	targets := to.pods
	if to.everyone {
		targets = c.addressed()
	}
	for _, target := range targets {
		rules = append(rules, product(peers{pods: []*v1.Pod{target}}.addresses("daddr"), portsOf(ports, target))...)
	}
	return append(rules, product(peers{blocks: to.blocks}.addresses("daddr"), portsOf(ports, nil))...)
}

func product(addresses, ports []string) (rules [][]string) {
	for _, address := range addresses {
		for _, port := range ports {
			rules = append(rules, []string{address, port})
		}
	}
	return rules
}

// portsOf are matches of the ports on a target. Names that the target does not have match nothing.
func portsOf(ports []netv1.NetworkPolicyPort, target *v1.Pod) (found []string) {
	if len(ports) == 0 {
		return []string{""}
	}
	for _, port := range ports {
		protocol := v1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		name := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			found = append(found, "meta l4proto "+name)
		case port.Port.Type == intstr.String:
			if number, ok := numberOf(port.Port.StrVal, protocol, target); ok {
				found = append(found, fmt.Sprintf("%s dport %d", name, number))
			}
		case port.EndPort != nil:
			found = append(found, fmt.Sprintf("%s dport %d-%d", name, port.Port.IntVal, *port.EndPort))
		default:
			found = append(found, fmt.Sprintf("%s dport %d", name, port.Port.IntVal))
		}
	}
	return found
}

func numberOf(name string, protocol v1.Protocol, pod *v1.Pod) (int32, bool) {
	if pod == nil {
		return 0, false
	}
	// Native sidecars are init containers that keep running, and may have ports.
	for _, container := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for _, port := range container.Ports {
			if port.Name == name && (port.Protocol == protocol || port.Protocol == "" && protocol == v1.ProtocolTCP) {
				return port.ContainerPort, true
			}
		}
	}
	return 0, false
}
