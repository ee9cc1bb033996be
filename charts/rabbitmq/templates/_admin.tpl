{{/* The administrator's login and the Erlang cookie of the bundled broker, as sources of a projected volume: from its own Secret, given
     or made, or from the one with all passwords, beside which the name is public. Takes (list $ (list of those wanted:
     "username" "password" "erlang-cookie")). */}}
{{- define "rabbitmq.admin" -}}
{{- $root := index . 0 -}}{{- $wanted := index . 1 -}}
{{- $all := include "sagashop.passwords" $root -}}
{{- if and $all (not $root.Values.existingSecret) -}}
- configMap: {name: {{ include "sagashop.fullname" $root }}, items: [{key: administrator, path: username}]}
- secret:
    name: {{ $all }}
    items:
      - {key: rabbitmq-admin, path: password}
      {{- if has "erlang-cookie" $wanted }}
      - {key: rabbitmq-erlang-cookie, path: erlang-cookie}
      {{- end }}
{{- else -}}
- secret:
    name: {{ $root.Values.existingSecret | default (printf "%s-admin" (include "sagashop.fullname" $root)) }}
    items:
      {{- range $wanted }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end -}}
{{- end -}}
