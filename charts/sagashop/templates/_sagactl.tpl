{{/* A pod's spec with sagactl in it. Takes (dict "root" $ "name" "smoke" "restart" "Never" "command" list "settings" sources),
     and "said" true where it leaves last words. */}}
{{- define "sagactl.pod" -}}
{{- $values := .root.Values.sagactl -}}
{{- $authorities := include "sagashop.authorities" (list .root "gateway") -}}
serviceAccountName: {{ include "sagashop.prefix" .root }}-sagactl
{{ include "sagashop.pod" (list .root $values 10001) }}
restartPolicy: {{ .restart }}
terminationGracePeriodSeconds: 5
containers:
  - name: {{ .name }}
    {{- include "sagashop.container" (list .root (include "sagashop.ours" (list .root $values.image) | fromYaml)) | nindent 4 }}
    command: {{- toYaml .command | nindent 6 }}
    {{- if .said }}
    # Without last words, because it could not look, the end of its log.
    terminationMessagePolicy: FallbackToLogsOnError
    {{- end }}
    env:
      - {name: GATEWAY_URL, value: {{ include "sagashop.url" (list .root "gateway") }}}
      - {name: ORDER_URL, value: {{ include "sagashop.url" (list .root "order") }}}
      - {name: SECRETS_DIR, value: /var/run/secrets/sagashop.io/settings}
      {{- if $authorities }}
      - {name: SSL_CERT_FILE, value: /var/run/secrets/sagashop.io/settings/ca.crt}
      {{- end }}
    resources: {{- toYaml $values.resources | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      - {name: settings, mountPath: /var/run/secrets/sagashop.io/settings, readOnly: true}
volumes:
  - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 32Mi}}
  - name: settings
    projected: {defaultMode: 0440, sources: {{ concat .settings ($authorities | fromYamlArray) | toJson }}}
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
