{{/* What `global.smtp` and `global.mail` say, as JSON, for a service that sends mail where a server is named; else nothing. */}}
{{- define "service.mail" -}}
{{- $global := .Values.global | default dict -}}
{{- $smtp := $global.smtp | default dict -}}{{- $mail := $global.mail | default dict -}}
{{- if and .Values.sendsMail $smtp.url -}}
{{- if not $mail.from }}{{ fail "global.smtp.url is given, so global.mail.from is needed: `Name <address>`" }}{{ end -}}
{{- merge (dict "url" $smtp.url) $smtp $mail | toJson -}}
{{- end -}}
{{- end -}}

{{/* The environment of a service that sends mail, as JSON. Takes (list mail "folder of the settings"). */}}
{{- define "service.mail.env" -}}
{{- $mail := index . 0 -}}
{{- $env := dict "SMTP_URL" $mail.url "MAIL_FROM" $mail.from "MAIL_REPLY_TO" ($mail.replyTo | default "") "MAIL_LOCALE" ($mail.locale | default "en") -}}
{{- if $mail.caSecret }}{{ $_ := set $env "SMTP_CA_FILE" (printf "%s/smtp-ca.crt" (index . 1)) }}{{ end -}}
{{- $env | toJson -}}
{{- end -}}

{{/* The way to the mail server: to its pods, or anywhere on its port. */}}
{{- define "service.mail.egress" -}}
{{- $server := urlParse .url -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $server.host) | default (get (dict "smtp" "25" "smtp+starttls" "587" "smtps" "465") $server.scheme) -}}
- ports: [{port: {{ $port }}, protocol: TCP}]
  {{- with .to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
