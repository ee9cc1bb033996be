{{/* Names of the members of the bundled set: they find each other, and clients find them, by these. */}}
{{- define "mongodb.hosts" -}}
{{- $name := include "sagashop.fullname" . -}}
{{- $domain := printf "%s.%s.svc.%s" $name (include "sagashop.namespace" .) (dig "clusterDomain" "cluster.local" (.Values.global | default dict)) -}}
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
mongodb://%s:%s@{{ include "mongodb.hosts" $ }}/?replicaSet={{ $.Values.replicaSet }}{{ if include "sagashop.tls" $ }}&tls=true{{ end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The root user's URL and the members' key file of the bundled set, as sources of a projected volume: from its own Secret, given or
     made, or from the one with all passwords. Takes (list $ (list keys of those wanted: "MONGODB_URL" "keyfile")). */}}
{{- define "mongodb.admin" -}}
{{- $root := index . 0 -}}{{- $wanted := index . 1 -}}
{{- $all := include "sagashop.passwords" $root -}}
{{- if and $all (not $root.Values.existingSecret) -}}
{{- if has "MONGODB_URL" $wanted }}
{{ include "sagashop.login" (list $root "mongodb" "root" (list "MONGODB_URL") "") }}
{{- end }}
{{- if has "keyfile" $wanted }}
- secret: {name: {{ $all }}, items: [{key: mongodb-keyfile, path: keyfile}]}
{{- end }}
{{- else }}
- secret:
    name: {{ $root.Values.existingSecret | default (printf "%s-admin" (include "sagashop.fullname" $root)) }}
    items:
      {{- range $wanted }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- end -}}
