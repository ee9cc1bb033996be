{{/* A pod's spec with sagactl in it. Takes (dict "root" $ "name" "smoke" "restart" "Never" "command" list "settings" sources), and
     "said" true where it leaves last words, "more" what else its container has, as YAML, "grace" seconds from SIGTERM to SIGKILL,
     "account" the service account of a pod that talks to the Kubernetes API. */}}
{{- define "sagactl.pod" -}}
{{- $values := .root.Values.sagactl -}}
{{- $authorities := include "sagashop.authorities" (list .root "gateway") -}}
{{- $sources := concat .settings ($authorities | fromYamlArray) -}}
{{- $stripe := include "sagashop.stripe" (list .root .root.Values.payment.env) -}}
serviceAccountName: {{ .account | default (printf "%s-sagactl" (include "sagashop.prefix" .root)) }}
{{ include "sagashop.pod" (concat (list .root $values 10001) (.account | empty | ternary list (list "token"))) }}
restartPolicy: {{ .restart }}
terminationGracePeriodSeconds: {{ .grace | default 5 }}
containers:
  - name: {{ .name }}
    {{- include "sagashop.container" (list .root (include "sagashop.ours" (list .root $values.image) | fromYaml)) | nindent 4 }}
    command: {{- toYaml .command | nindent 6 }}
    {{- with .more }}{{ . | nindent 4 }}{{ end }}
    {{- if .said }}
    # Without last words, because it could not look, the end of its log.
    terminationMessagePolicy: FallbackToLogsOnError
    {{- end }}
    env:
      - {name: GATEWAY_URL, value: {{ include "sagashop.url" (list .root "gateway") }}}
      - {name: ORDER_URL, value: {{ include "sagashop.url" (list .root "order") }}}
      - {name: SECRETS_DIR, value: /var/run/secrets/sagashop.io/settings}
      {{- if $stripe }}
      - {name: PAYMENT_GATEWAY, value: stripe}
      {{- end }}
      {{- if $authorities }}
      - {name: SSL_CERT_FILE, value: /var/run/secrets/sagashop.io/settings/ca.crt}
      {{- end }}
      {{- with $values.extraEnv }}{{ toYaml . | nindent 6 }}{{ end }}
    resources: {{- toYaml $values.resources | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- if $sources }}
      - {name: settings, mountPath: /var/run/secrets/sagashop.io/settings, readOnly: true}
      {{- end }}
      {{- with $values.extraVolumeMounts }}{{ toYaml . | nindent 6 }}{{ end }}
volumes:
  {{- if $stripe }}
  # A check keeps there what Stripe did: some 300 bytes a charge.
  - {name: tmp, emptyDir: {sizeLimit: 2Gi}}
  {{- else }}
  - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 32Mi}}
  {{- end }}
  {{- with $sources }}
  - name: settings
    projected: {defaultMode: 0440, sources: {{ toJson . }}}
  {{- end }}
  {{- with $values.extraVolumes }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end -}}

{{/* What reads the books logs in with, as sources of a projected volume. */}}
{{- define "sagactl.books" -}}
{{- include "sagashop.login" (list . "mongodb" "sagactl" (list "MONGODB_URL") "") }}
{{ include "sagashop.login" (list . "rabbitmq" "sagactl" (list "AMQP_URL" "MANAGEMENT_URL") "") }}
{{- with include "sagashop.stripe" (list . .Values.payment.env) }}
{{- $stripe := fromJson . }}
- secret: {name: {{ $stripe.readingSecret | default $stripe.existingSecret }}, items: [{key: STRIPE_API_KEY, path: STRIPE_API_KEY}]}
{{- end }}
{{- end -}}

{{/* Annotations of a pod of `helm test`. */}}
{{- define "sagactl.test" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation
{{- end -}}

{{/* The Secret of the first administrator, as chart auth names it. */}}
{{- define "sagactl.adminSecret" -}}
{{- dig "admin" "existingSecret" "" .Values.auth | default (include "sagashop.passwords" .) | default (printf "%s-admin" (include "sagashop.sibling" (list . "auth"))) -}}
{{- end -}}

{{/* The first administrator's login, as a source of a projected volume. */}}
{{- define "sagactl.admin" -}}
secret:
  name: {{ include "sagactl.adminSecret" . }}
  items: [{key: ADMIN_EMAIL, path: ADMIN_EMAIL}, {key: ADMIN_PASSWORD, path: ADMIN_PASSWORD}]
{{- end -}}
