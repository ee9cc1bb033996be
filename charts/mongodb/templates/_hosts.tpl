{{/* Names of the members of the bundled set: they find each other, and clients find them, by these. */}}
{{- define "mongodb.hosts" -}}
{{- $name := include "sagashop.fullname" . -}}
{{- $domain := printf "%s.%s.svc.%s" $name .Release.Namespace (dig "clusterDomain" "cluster.local" (.Values.global | default dict)) -}}
{{- $hosts := list -}}
{{- range $ordinal := until (int .Values.replicaCount) -}}
{{- $hosts = append $hosts (printf "%s-%d.%s:27017" $name $ordinal $domain) -}}
{{- end -}}
{{- join "," $hosts -}}
{{- end -}}

{{/* A connection URL, with %s for user and password. */}}
{{- define "mongodb.url" -}}
{{- with .Values.external -}}
{{- if .enabled -}}
{{ .scheme }}://%s:%s@{{ .hosts }}/?{{ .options }}
{{- else -}}
mongodb://%s:%s@{{ include "mongodb.hosts" $ }}/?replicaSet={{ $.Values.replicaSet }}
{{- end -}}
{{- end -}}
{{- end -}}
