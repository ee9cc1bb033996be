{{/* All of a service. A service's chart is this one include. */}}
{{- define "service.all" -}}
{{- $name := include "sagashop.fullname" . -}}
{{- $autoscaled := include "service.autoscaled" . | not | not -}}
{{- $replicas := $autoscaled | ternary .Values.autoscaling.minReplicas .Values.replicaCount | int -}}
{{- include "service.possible" . -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  {{- include "sagashop.meta" (list . "server" .Values.serviceAccount.annotations) | nindent 2 }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  {{- include "sagashop.meta" (list . "server" .Values.expose.annotations) | nindent 2 }}
spec:
  type: {{ .Values.expose.type }}
  {{- if ne .Values.expose.type "ClusterIP" }}
  externalTrafficPolicy: {{ .Values.expose.externalTrafficPolicy }}
  {{- end }}
  {{- with .Values.expose.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  {{- with .Values.expose.loadBalancerSourceRanges }}
  loadBalancerSourceRanges: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.expose.trafficDistribution }}
  trafficDistribution: {{ . }}
  {{- end }}
  {{- with .Values.expose.ipFamilyPolicy }}
  ipFamilyPolicy: {{ . }}
  {{- end }}
  selector: {{- include "sagashop.selector" (list . "server") | nindent 4 }}
  ports:
    - name: http
      port: {{ include "sagashop.port" .Chart.Name }}
      targetPort: http
      protocol: TCP
      appProtocol: {{ include "sagashop.http" . }}
      {{- with .Values.expose.nodePort }}
      nodePort: {{ . }}
      {{- end }}
    {{- range .Values.expose.morePorts }}
    - {name: http-{{ . }}, port: {{ . }}, targetPort: http, protocol: TCP, appProtocol: {{ include "sagashop.http" $ }}}
    {{- end }}
---
{{ include "service.deployment" . }}
{{- if and $autoscaled .Values.autoscaling.triggers }}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ $name }}
  {{- include "sagashop.meta" (list . "server") | nindent 2 }}
spec:
  scaleTargetRef: {name: {{ $name }}}
  minReplicaCount: {{ .Values.autoscaling.minReplicas }}
  maxReplicaCount: {{ .Values.autoscaling.maxReplicas }}
  triggers: {{- toYaml .Values.autoscaling.triggers | nindent 4 }}
  {{- with .Values.autoscaling.behavior }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior: {{- toYaml . | nindent 8 }}
  {{- end }}
{{- else if $autoscaled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $name }}
  {{- include "sagashop.meta" (list . "server") | nindent 2 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $name }}}
  minReplicas: {{ .Values.autoscaling.minReplicas }}
  maxReplicas: {{ .Values.autoscaling.maxReplicas }}
  metrics:
    {{- with .Values.autoscaling.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: {{ .Values.autoscaling.targetCPUUtilizationPercentage }}}}
    {{- end }}
  {{- with .Values.autoscaling.behavior }}
  behavior: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- if gt $replicas 1 }}
---
{{ include "sagashop.budget" . }}
{{- end }}
{{- if include "sagashop.networkPolicies" . }}
---
{{ include "service.networkPolicy" . }}
{{- end }}
{{- include "sagashop.monitor" (list . "PodMonitor" "server" "metrics") }}
{{- include "sagashop.certificateRequest" (list .) }}
{{- end -}}

{{- /* What the API server would refuse when half of the release is there. */}}
{{- define "service.possible" -}}
{{- with .Values.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "%s: autoscaling.minReplicas (%d) is more than autoscaling.maxReplicas (%d)" $.Chart.Name (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.drain -}}
{{- if ge (int .preStopSeconds) (int .terminationGracePeriodSeconds) -}}
{{- fail (printf "%s: drain.preStopSeconds (%d) is all of drain.terminationGracePeriodSeconds (%d): nothing is left to finish in what was begun" $.Chart.Name (int .preStopSeconds) (int .terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "service.networkPolicy" -}}
{{- $root := . -}}
{{- $ports := dict "mongodb" 27017 "rabbitmq" (include "sagashop.brokerPort" (list . "amqp")) "redis" 6379 -}}
{{- $calls := without (append (include "service.calls" . | fromJsonArray) "auth" | uniq) .Chart.Name -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "sagashop.fullname" . }}
  {{- include "sagashop.meta" (list . "server") | nindent 2 }}
spec:
  podSelector:
    matchLabels: {{- include "sagashop.selector" (list . "server") | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- with include "service.ingress" . | trim }}
  ingress: {{- . | nindent 4 }}
  {{- end }}
  egress:
    {{- include "sagashop.egress.dns" . | nindent 4 }}
    {{- range .Values.servers }}
    - to: [{{ "{" }}{{ include "sagashop.peer" (list $root .) }}{{ "}" }}]
      ports:
        - {port: {{ get $ports . }}, protocol: TCP}
        {{- if and (eq . "rabbitmq") $root.Values.brokerManagement }}
        - {port: {{ include "sagashop.brokerPort" (list $root "management") }}, protocol: TCP}
        {{- end }}
    {{- end }}
    {{- range $calls }}
    - to: [{{ "{" }}{{ include "sagashop.peer" (list $root .) }}{{ "}" }}]
      ports: [{port: {{ include "sagashop.port" . }}, protocol: TCP}]
    {{- end }}
    {{- if dig "tracing" "enabled" false (.Values.global | default dict) }}
    - to: [{{ "{" }}{{ include "sagashop.peer" (list . "jaeger") }}{{ "}" }}]
      ports: [{port: 4318, protocol: TCP}]
    {{- end }}
    {{- if .Values.kubernetesApi }}
    {{- include "sagashop.egress.api" . | nindent 4 }}
    {{- end }}
    {{- with include "service.mail" . }}
    {{- include "service.mail.egress" (fromJson .) | nindent 4 }}
    {{- end }}
    {{- with include "sagashop.stripe" (list . .Values.env) }}
    {{- include "sagashop.stripe.egress" (fromJson .) | nindent 4 }}
    {{- end }}
    {{- include "sagashop.egress.external" . | nindent 4 }}
    {{- with .Values.networkPolicy.extraEgress }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end -}}

{{- define "service.ingress" -}}
{{- $root := . -}}
{{- if .Values.networkPolicy.public }}
- ports: [{port: {{ include "sagashop.port" .Chart.Name }}, protocol: TCP}]
{{- else if .Values.calledBy }}
- ports: [{port: {{ include "sagashop.port" .Chart.Name }}, protocol: TCP}]
  from:
    {{- range .Values.calledBy }}
    - {{ include "sagashop.peer" (list $root .) }}
    {{- end }}
{{- end }}
{{- include "sagashop.ingress.metrics" (list . (include "service.metricsPort" .)) | nindent 0 }}
{{- with .Values.networkPolicy.extraIngress }}{{ toYaml . | nindent 0 }}{{ end }}
{{- end -}}
