{{/* The users of this release and what each may do, a line each: the console's only where there is one. */}}
{{- define "redis.rules" -}}
{{- range $line := .Files.Lines "users.acl" }}
{{- if and $line (not (hasPrefix "#" $line)) (or (not (hasPrefix "console " $line)) (include "sagashop.console" $)) }}
{{ $line }}
{{- end }}
{{- end }}
{{- end -}}
