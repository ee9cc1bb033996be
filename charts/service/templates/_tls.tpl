{{/* "true" where everybody of the release is reached by TLS alone. */}}
{{- define "sagashop.tls" -}}
{{- if dig "tls" "enabled" false (.Values.global | default dict) }}true{{ end -}}
{{- end -}}

{{/* One of two words. Takes (list $ "where TLS is on" "where it is off"). */}}
{{- define "sagashop.ifTls" -}}
{{- if include "sagashop.tls" (index . 0) }}{{ index . 1 }}{{ else }}{{ index . 2 }}{{ end -}}
{{- end -}}

{{/* The scheme of HTTP between the shop's pods. */}}
{{- define "sagashop.http" -}}
{{- include "sagashop.ifTls" (list . "https" "http") -}}
{{- end -}}

{{/* Where a TLS listener has a port of its own beside the plain one. Takes (list $ "amqp"), or "management" or "metrics". */}}
{{- define "sagashop.brokerPort" -}}
{{- $plain := dict "amqp" 5672 "management" 15672 "metrics" 15692 -}}
{{- $tls := dict "amqp" 5671 "management" 15671 "metrics" 15691 -}}
{{- include "sagashop.ifTls" (list (index . 0) (get $tls (index . 1)) (get $plain (index . 1))) -}}
{{- end -}}

{{/* The Secret with a chart's certificate and key. Takes (list $ "order"): one that is given, or the one that cert-manager makes. */}}
{{- define "sagashop.certificate" -}}
{{- $tls := dig "tls" dict ((index . 0).Values.global | default dict) -}}
{{- $given := $tls.existingSecrets | default dict -}}
{{- $own := get $given (index . 1) | default $given.all -}}
{{- if not (or $own (dig "issuer" "name" "" $tls)) -}}
{{- fail (printf "global.tls: nobody makes the certificate of %s: set global.tls.issuer.name to an issuer of cert-manager's, or global.tls.existingSecrets.%s (or .all)" (index . 1) (index . 1)) -}}
{{- end -}}
{{- $own | default (printf "%s-tls" (include "sagashop.sibling" .)) -}}
{{- end -}}

{{/* The certificate and the key of this chart's pods, as sources of a projected volume: tls.crt and tls.key. */}}
{{- define "sagashop.identity" -}}
{{- if include "sagashop.tls" . }}
- secret:
    name: {{ include "sagashop.certificate" (list . .Chart.Name) }}
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{{- end }}
{{- end -}}

{{/* The authorities that pods believe, as {configMap: {name, key}} or {secret: {name, key}}; nothing where the image's own are meant.
     Takes (list $ "order"): the chart whose Secret has them where no bundle is given. */}}
{{- define "sagashop.authority" -}}
{{- $bundle := dig "tls" "caBundle" dict ((index . 0).Values.global | default dict) -}}
{{- if $bundle.configMap -}}
configMap: {name: {{ $bundle.configMap }}, key: {{ $bundle.key }}}
{{- else if $bundle.secret -}}
secret: {name: {{ $bundle.secret }}, key: {{ $bundle.key }}}
{{- else if include "sagashop.tls" (index . 0) -}}
secret: {name: {{ include "sagashop.certificate" . }}, key: ca.crt}
{{- end -}}
{{- end -}}

{{/* The same as sources of a projected volume: ca.crt. */}}
{{- define "sagashop.authorities" -}}
{{- range $kind, $from := include "sagashop.authority" . | fromYaml }}
- {{ $kind }}: {name: {{ $from.name }}, items: [{key: {{ $from.key }}, path: ca.crt}]}
{{- end }}
{{- end -}}

{{/* What cert-manager is asked for, where it is. Takes (list $ "*.name" ...): names beside those of the chart's Service. */}}
{{- define "sagashop.certificateRequest" -}}
{{- $root := index . 0 -}}
{{- $global := $root.Values.global | default dict -}}
{{- $name := include "sagashop.fullname" $root -}}
{{- if and (include "sagashop.tls" $root) (eq (include "sagashop.certificate" (list $root $root.Chart.Name)) (printf "%s-tls" $name)) }}
{{- $there := printf "%s.%s" $name (include "sagashop.namespace" $root) }}
{{- $own := list $name $there (printf "%s.svc" $there) (printf "%s.svc.%s" $there (dig "clusterDomain" "cluster.local" $global)) }}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ $name }}
  {{- include "sagashop.meta" (list $root "certificate") | nindent 2 }}
spec:
  secretName: {{ $name }}-tls
  duration: {{ $global.tls.duration }}
  privateKey: {algorithm: ECDSA, encoding: PKCS8, rotationPolicy: Always}
  usages: [digital signature, server auth, client auth]
  dnsNames: {{- concat $own (rest .) | toYaml | nindent 4 }}
  issuerRef: {{- $global.tls.issuer | toYaml | nindent 4 }}
{{- end }}
{{- end -}}

{{/* The volume `tls` of a server: tls.crt, tls.key and ca.crt. */}}
{{- define "sagashop.tlsVolume" -}}
{{- if include "sagashop.tls" . }}
- name: tls
  projected:
    defaultMode: 0440
    sources:
      {{- include "sagashop.identity" . | nindent 6 }}
      {{- include "sagashop.authorities" (list . .Chart.Name) | nindent 6 }}
{{- end }}
{{- end -}}
