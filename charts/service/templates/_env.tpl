{{/* Apart from the service's own, which may be public. */}}
{{- define "service.metricsPort" -}}9090{{- end -}}

{{/* Whom it calls, as JSON: of an optional service only where there is one. */}}
{{- define "service.calls" -}}
{{- include "sagashop.fulfilment" . | empty | ternary (without .Values.calls "fulfilment") .Values.calls | toJson -}}
{{- end -}}

{{/* A service's environment, merged by name: what the chart knows, then `env`, then `extraEnv`. Helm 4 applies on the
     server's side, where a name that comes twice is an error, so duplicates within `extraEnv` are refused here. */}}
{{- define "service.env" -}}
{{- $root := . -}}
{{- $global := .Values.global | default dict -}}
{{- $env := dict "HOST" (include "sagashop.everywhere" . | trimAll "[]") "PORT" (include "sagashop.port" .Chart.Name) "METRICS_PORT" (include "service.metricsPort" .) "SECRETS_DIR" "/var/run/secrets/sagashop.io/settings" -}}
{{- $_ := set $env "LOG_LEVEL" (dig "logLevel" "info" $global) -}}
{{- $_ := set $env "JWKS_URL" (printf "%s/.well-known/jwks.json" (include "sagashop.url" (list . "auth"))) -}}
{{- range include "service.calls" . | fromJsonArray -}}
{{- $_ := set $env (printf "%s_URL" (upper .)) (include "sagashop.url" (list $root .)) -}}
{{- end -}}
{{- if dig "tracing" "enabled" false $global -}}
{{- $_ := set $env "OTEL_EXPORTER_OTLP_ENDPOINT" (dig "tracing" "endpoint" "" $global | default (printf "%s://%s:4318" (include "sagashop.http" .) (include "sagashop.sibling" (list . "jaeger")))) -}}
{{- $_ := set $env "OTEL_TRACES_SAMPLER" "parentbased_traceidratio" -}}
{{- $_ := set $env "OTEL_TRACES_SAMPLER_ARG" (dig "tracing" "sampleRatio" 1.0 $global | toString) -}}
{{- end -}}
{{- if include "sagashop.authority" (list . .Chart.Name) -}}
{{- $_ := set $env "SSL_CERT_FILE" (printf "%s/ca.crt" $env.SECRETS_DIR) -}}
{{- if hasPrefix "https:" ($env.OTEL_EXPORTER_OTLP_ENDPOINT | default "") }}{{ $_ := set $env "OTEL_EXPORTER_OTLP_CERTIFICATE" $env.SSL_CERT_FILE }}{{ end -}}
{{- end -}}
{{- if include "sagashop.tls" . -}}
{{- $_ := set $env "TLS_CERT_FILE" (printf "%s/tls.crt" $env.SECRETS_DIR) -}}
{{- $_ := set $env "TLS_KEY_FILE" (printf "%s/tls.key" $env.SECRETS_DIR) -}}
{{- end -}}
{{- with include "service.mail" . -}}
{{- $env = merge (include "service.mail.env" (list (fromJson .) $env.SECRETS_DIR) | fromJson) $env -}}
{{- end -}}
{{- with include "sagashop.stripe" (list . .Values.env) -}}
{{- if not $root.Values.readsStripe }}{{ $_ := set $env "STRIPE_RETURN_URL" (fromJson .).returnUrl }}{{ end -}}
{{- end -}}
{{- range $name, $value := .Values.env -}}
{{- $_ := set $env $name (tpl (toString $value) $root) -}}
{{- end -}}
{{- $extra := dict -}}
{{- range .Values.extraEnv -}}
{{- if hasKey $extra .name }}{{ fail (printf "%s: extraEnv names %s twice" $root.Chart.Name .name) }}{{ end -}}
{{- $_ := set $extra .name . -}}
{{- end -}}
{{- range $name := concat (keys $env) (keys $extra) | uniq | sortAlpha }}
{{- with get $extra $name }}
- {{ toYaml . | nindent 2 | trim }}
{{- else }}
- {name: {{ $name }}, value: {{ get $env $name | quote }}}
{{- end }}
{{- end }}
{{- end -}}
