{{/* What every pod has: restricted Pod Security, no API token, no service links. Takes (list $ values uid [automount]). */}}
{{- define "sagashop.pod" -}}
{{- $root := index . 0 -}}{{- $values := index . 1 -}}{{- $uid := index . 2 -}}
{{- $global := $root.Values.global | default dict -}}
{{- $secrets := concat (dig "imagePullSecrets" list $global) (dig "pullSecrets" list $values.image) -}}
automountServiceAccountToken: {{ gt (len .) 3 | ternary true false }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $uid }}
  runAsGroup: {{ $uid }}
  fsGroup: {{ $uid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $secrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName | default $global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with merge dict ($values.nodeSelector | default dict) ($global.nodeSelector | default dict) }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat ($values.tolerations | default list) ($global.tolerations | default list) }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity | default $global.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What every container has. Takes (list $ image). */}}
{{- define "sagashop.container" -}}
image: {{ include "sagashop.image" . | quote }}
imagePullPolicy: {{ (index . 1).pullPolicy | default "IfNotPresent" }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Replicas on different nodes, and in different zones, when there are several. Takes (list $ "component" values ["Deployment"]). */}}
{{- define "sagashop.spread" -}}
{{- $root := index . 0 -}}{{- $component := index . 1 -}}{{- $values := index . 2 -}}
{{- if $values.topologySpread.enabled }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable }}
    # A node that is being drained does not count, nor do the pods of the version before.
    nodeTaintsPolicy: Honor
    {{- if gt (len $) 3 }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
    labelSelector:
      matchLabels: {{- include "sagashop.selector" (list $root $component) | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A server's volume. */}}
{{- define "sagashop.claim" -}}
- metadata:
    name: data
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .Values.persistence.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources: {requests: {storage: {{ .Values.persistence.size }}}}
{{- end -}}

{{/* One pod at a time may be evicted; asked for only where there is more than one. */}}
{{- define "sagashop.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "sagashop.fullname" . }}
  {{- include "sagashop.meta" (list . "server") | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "sagashop.selector" (list . "server") | nindent 6 }}
{{- end -}}

{{/* What a change of a server's size would do to it, said instead of done. Takes (list $ "mongodb" "what a member is called"). */}}
{{- define "sagashop.resizable" -}}
{{- $root := index . 0 -}}{{- $values := $root.Values -}}{{- $chart := $root.Chart.Name -}}
{{- if and (gt (int $values.replicaCount) 1) (not $values.persistence.enabled) -}}
{{- fail (printf "%s: with %d %ss and without volumes an update would lose its data: set %s.persistence.enabled, or replicaCount to 1" $chart (int $values.replicaCount) (index . 1) $chart) -}}
{{- end -}}
{{- with lookup "apps/v1" "StatefulSet" (include "sagashop.namespace" $root) (include "sagashop.fullname" $root) -}}
{{- if lt (int $values.replicaCount) (int .spec.replicas) -}}
{{- fail (printf "%s: %d %ss are there, and %d are fewer: those that go would take their vote and their data along; docs/operations.md (Scale) says how to take them out first" $chart (int .spec.replicas) (index $ 1) (int $values.replicaCount)) -}}
{{- end -}}
{{- range .spec.volumeClaimTemplates -}}
{{- if ne .spec.resources.requests.storage $values.persistence.size -}}
{{- fail (printf "%s: Kubernetes does not change the volumes of a StatefulSet (they have %s, %s are asked for); docs/operations.md (Scale) says how to grow them first" $chart .spec.resources.requests.storage $values.persistence.size) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
