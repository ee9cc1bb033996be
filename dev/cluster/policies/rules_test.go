package policies

import (
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func pod(namespace, name, address string, ports ...v1.ContainerPort) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       v1.PodSpec{Containers: []v1.Container{{Ports: ports}}},
		Status:     v1.PodStatus{PodIP: address},
	}
}

func selecting(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
}

func policy(selects string, spec netv1.NetworkPolicySpec) *netv1.NetworkPolicy {
	spec.PodSelector = *selecting(selects)
	return &netv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: selects}, Spec: spec}
}

func port(of intstr.IntOrString) []netv1.NetworkPolicyPort {
	return []netv1.NetworkPolicyPort{{Port: &of}}
}

var (
	order    = pod("shop", "order", "10.0.0.1", v1.ContainerPort{Name: "http", ContainerPort: 3002, Protocol: v1.ProtocolTCP})
	gateway  = pod("shop", "gateway", "10.0.0.2")
	stranger = pod("other", "gateway", "10.0.0.3")
	shop     = Cluster{Pods: []*v1.Pod{order, gateway, stranger}, Namespaces: []*v1.Namespace{
		{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "other", Labels: map[string]string{"team": "other"}}},
	}}
	toOrder = policy("order", netv1.NetworkPolicySpec{
		PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress},
		Ingress: []netv1.NetworkPolicyIngressRule{{
			From: []netv1.NetworkPolicyPeer{{PodSelector: selecting("gateway")}}, Ports: port(intstr.FromString("http")),
		}},
	})
)

// with is the shop with policies, its rules as lines without indentation.
func with(t *testing.T, cluster Cluster, policies ...*netv1.NetworkPolicy) []string {
	t.Helper()
	cluster.Policies = policies
	ruleset, err := Ruleset(cluster)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(ruleset) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

func expect(t *testing.T, lines []string, wanted string) {
	t.Helper()
	if !slices.Contains(lines, wanted) {
		t.Errorf("%q is not in\n%s", wanted, strings.Join(lines, "\n"))
	}
}

func TestAPodSelectorMeansPodsOfThePolicysNamespace(t *testing.T) {
	expect(t, with(t, shop, toOrder), "ip saddr { 10.0.0.2 } tcp dport 3002 return")
}

func TestAPodThatNoPolicySelectsIsFree(t *testing.T) {
	lines := with(t, shop, toOrder)
	expect(t, lines, "ip saddr vmap { 0.0.0.0 : continue }")
	expect(t, lines, "ip daddr vmap { 10.0.0.1 : jump ingress_10_0_0_1, 0.0.0.0 : continue }")
}

func TestANamespaceSelectorReachesOtherNamespaces(t *testing.T) {
	rule := netv1.NetworkPolicyIngressRule{From: []netv1.NetworkPolicyPeer{
		{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "other"}}}}}
	lines := with(t, shop, policy("order", netv1.NetworkPolicySpec{
		PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeIngress}, Ingress: []netv1.NetworkPolicyIngressRule{rule}}))
	expect(t, lines, "ip saddr { 10.0.0.3 } return")
}

func TestAPolicyWithoutRulesLetsNothingThrough(t *testing.T) {
	lines := with(t, shop, policy("gateway", netv1.NetworkPolicySpec{PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeEgress}}))
	at := slices.Index(lines, "chain egress_10_0_0_2 { # shop/gateway")
	if at < 0 || lines[at+1] != "reject with icmp type admin-prohibited" {
		t.Errorf("not rejected:\n%s", strings.Join(lines, "\n"))
	}
}

func TestANamedPortOfAnEgressRuleIsThatOfEachTarget(t *testing.T) {
	lines := with(t, shop, policy("gateway", netv1.NetworkPolicySpec{
		PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeEgress},
		Egress:      []netv1.NetworkPolicyEgressRule{{Ports: port(intstr.FromString("http"))}}}))
	expect(t, lines, "ip daddr { 10.0.0.1 } tcp dport 3002 return")
	if slices.Contains(lines, "ip daddr { 10.0.0.3 } return") {
		t.Error("a target without that port is reached on every port")
	}
}

func TestABlockIsLessItsExceptions(t *testing.T) {
	block := &netv1.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.1.0.0/16", "10.2.0.0/16"}}
	lines := with(t, shop, policy("gateway", netv1.NetworkPolicySpec{
		PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeEgress},
		Egress:      []netv1.NetworkPolicyEgressRule{{To: []netv1.NetworkPolicyPeer{{IPBlock: block}}, Ports: port(intstr.FromInt32(443))}}}))
	expect(t, lines, "ip daddr 10.0.0.0/8 ip daddr != 10.1.0.0/16 ip daddr != 10.2.0.0/16 tcp dport 443 return")
}

func TestAPodThatEndedLeavesItsAddressToOthers(t *testing.T) {
	ended := pod("shop", "gateway", "10.0.0.2")
	ended.Status.Phase = v1.PodSucceeded
	lines := with(t, Cluster{Pods: []*v1.Pod{order, ended}, Namespaces: shop.Namespaces}, toOrder)
	if slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "10.0.0.2") }) {
		t.Errorf("an ended pod's address is let in:\n%s", strings.Join(lines, "\n"))
	}
}

func TestTheOrderOfListsDoesNotMatter(t *testing.T) {
	toGateway := policy("gateway", toOrder.Spec)
	backwards := Cluster{Pods: []*v1.Pod{stranger, gateway, order}, Namespaces: shop.Namespaces}
	if !slices.Equal(with(t, shop, toOrder, toGateway), with(t, backwards, toGateway, toOrder)) {
		t.Error("the same cluster gave two rulesets")
	}
}
