{{/* "true" when NetworkPolicies are wanted; they are, unless somebody says no. */}}
{{- define "sagashop.networkPolicies" -}}
{{- if dig "networkPolicy" "enabled" true (.Values.global | default dict) }}true{{ end -}}
{{- end -}}

{{/* What is listened on: all addresses of a family, as a URL has it. */}}
{{- define "sagashop.everywhere" -}}
{{- if dig "ipv6" false (.Values.global | default dict) }}[::]{{ else }}0.0.0.0{{ end -}}
{{- end -}}

{{/* Name resolution. By port alone: node-local caches have no pod to select. */}}
{{- define "sagashop.egress.dns" -}}
- ports:
    {{- range dig "networkPolicy" "dnsPorts" (list 53) (.Values.global | default dict) }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{/* The API server: it has no pod to select and differs in address from cluster to cluster. */}}
{{- define "sagashop.egress.api" -}}
{{- $cidrs := dig "networkPolicy" "apiServerCidrs" list (.Values.global | default dict) -}}
- {{ with $cidrs }}to:
    {{- range . }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
  {{ end }}ports:
    {{- range dig "networkPolicy" "apiServerPorts" (list 443 6443) (.Values.global | default dict) }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{/* Servers outside the cluster, for those that talk to servers at all. */}}
{{- define "sagashop.egress.external" -}}
{{- with dig "networkPolicy" "externalEgress" list (.Values.global | default dict) -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* Who may scrape: a list of NetworkPolicy peers. Takes (list $ port). */}}
{{- define "sagashop.ingress.metrics" -}}
{{- $root := index . 0 -}}
{{- with dig "metrics" "from" list ($root.Values.global | default dict) -}}
- from: {{- toYaml . | nindent 4 }}
  ports: [{port: {{ index $ 1 }}, protocol: TCP}]
{{- end -}}
{{- end -}}

{{/* A ServiceMonitor or PodMonitor. Takes (list $ "kind" "component" "port name"), and after them what is asked of that port, as
     (dict "path" "/..." "params" (dict ...)), where it is not /metrics alone. */}}
{{- define "sagashop.monitor" -}}
{{- $root := index . 0 -}}{{- $kind := index . 1 -}}{{- $component := index . 2 -}}
{{- $metrics := dig "metrics" dict ($root.Values.global | default dict) -}}
{{- if $metrics.enabled }}
---
apiVersion: monitoring.coreos.com/v1
kind: {{ $kind }}
metadata:
  name: {{ include "sagashop.fullname" $root }}
  {{- include "sagashop.meta" (list $root $component dict $metrics.labels) | nindent 2 }}
spec:
  selector:
    matchLabels: {{- include "sagashop.selector" (list $root $component) | nindent 6 }}
  {{ eq $kind "PodMonitor" | ternary "podMetricsEndpoints" "endpoints" }}:
    {{- range slice . 4 | default (list (dict "path" "/metrics")) }}
    - port: {{ index $ 3 }}
      {{- toYaml . | nindent 6 }}
      interval: {{ $metrics.interval | default "30s" }}
      {{- with $metrics.relabelings }}
      relabelings: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $metrics.metricRelabelings }}
      metricRelabelings: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if include "sagashop.tls" $root }}
      scheme: https
      tlsConfig:
        serverName: {{ include "sagashop.fullname" $root }}
        ca: {{- include "sagashop.authority" (list $root $root.Chart.Name) | nindent 10 }}
      {{- end }}
    {{- end }}
{{- end }}
{{- end -}}
