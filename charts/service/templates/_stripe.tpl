{{/* What `global.stripe` says, as JSON, where Stripe takes the money; else nothing. Takes (list $ environment), that of payment. */}}
{{- define "sagashop.stripe" -}}
{{- if eq (dig "PAYMENT_GATEWAY" "" (index . 1 | default dict) | toString) "stripe" -}}
{{- dig "stripe" dict ((index . 0).Values.global | default dict) | toJson -}}
{{- end -}}
{{- end -}}

{{/* The way to Stripe: anywhere, or to those who lead there. */}}
{{- define "sagashop.stripe.egress" -}}
- ports: [{port: 443, protocol: TCP}]
  {{- with .to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
