package policies

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// settle is how long changes are gathered before the ruleset is made anew.
const settle = 50 * time.Millisecond

// Main watches the cluster and enforces its policies until the process ends.
func Main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig file")
	dns := flag.String("dns", "", "address of the DNS server, which counts as a pod of kube-system labelled k8s-app=kube-dns")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatal(err)
	}
	if err := enforce(context.Background(), kubernetes.NewForConfigOrDie(config), *dns); err != nil {
		klog.Fatal(err)
	}
}

func enforce(ctx context.Context, client kubernetes.Interface, dns string) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(any, any) { notify() },
			DeleteFunc: func(any) { notify() },
		}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	notify() // a cluster without objects has a ruleset too

	snapshot := func() (cluster Cluster, err error) {
		if cluster.Pods, err = pods.Lister().List(labels.Everything()); err != nil {
			return cluster, err
		}
		if cluster.Namespaces, err = namespaces.Lister().List(labels.Everything()); err != nil {
			return cluster, err
		}
		cluster.Policies, err = policies.Lister().List(labels.Everything())
		cluster.Pods = append(cluster.Pods, dnsPod(dns))
		return cluster, err
	}
	for applied := ""; ; {
		<-changed
		time.Sleep(settle)
		cluster, err := snapshot()
		if err != nil {
			return err
		}
		ruleset, err := Ruleset(cluster)
		if err != nil {
			klog.ErrorS(err, "Policies not understood")
			continue
		}
		if ruleset == applied {
			continue
		}
		// What nft refuses leaves the ruleset before it in force, until a change makes it right.
		if err := apply(ctx, ruleset); err != nil {
			klog.ErrorS(err, "Ruleset refused")
			continue
		}
		applied = ruleset
	}
}

func apply(ctx context.Context, ruleset string) error {
	nft := exec.CommandContext(ctx, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(ruleset)
	if output, err := nft.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s\n%s", err, output, ruleset)
	}
	return nil
}

// dnsPod stands for the DNS server: policies name it by the labels it has in every other cluster, here it is a process.
func dnsPod(address string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "dns", Labels: map[string]string{"k8s-app": "kube-dns"}},
		Spec: v1.PodSpec{Containers: []v1.Container{{Ports: []v1.ContainerPort{
			{Name: "dns", ContainerPort: 53, Protocol: v1.ProtocolUDP}, {Name: "dns-tcp", ContainerPort: 53, Protocol: v1.ProtocolTCP}}}}},
		Status: v1.PodStatus{PodIP: address},
	}
}
