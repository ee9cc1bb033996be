{{/* The users of this release and what each may do, a line each: of what a shop may do without, only where it is. */}}
{{- define "redis.rules" -}}
{{- $absent := list -}}
{{- if not (include "sagashop.console" .) }}{{ $absent = append $absent "console" }}{{ end -}}
{{- if not (include "sagashop.fulfilment" .) }}{{ $absent = append $absent "fulfilment" }}{{ end -}}
{{- range $line := .Files.Lines "users.acl" }}
{{- if and $line (not (hasPrefix "#" $line)) (not (has (splitList " " $line | first) $absent)) }}
{{ $line }}
{{- end }}
{{- end }}
{{- end -}}
