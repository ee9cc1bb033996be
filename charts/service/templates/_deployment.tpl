{{- define "service.deployment" -}}
{{- $name := include "sagashop.fullname" . -}}
{{- $image := mergeOverwrite (dict "repository" (printf "sagashop/%s" .Chart.Name)) (omit .Values.image "repository") -}}
{{- $scheme := include "sagashop.http" . | upper -}}
{{- with .Values.image.repository }}{{ $_ := set $image "repository" . }}{{ end -}}
{{- $image = include "sagashop.ours" (list . $image) | fromYaml -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  {{- include "sagashop.meta" (list . "server") | nindent 2 }}
spec:
  {{- if not (include "service.autoscaled" .) }}
  replicas: {{ .Values.replicaCount }}
  {{- else }}
  {{- /* As many as there are: a field that an upgrade leaves out falls back to one replica. From none an autoscaler does not begin.
         Tools that render without a cluster leave it to the autoscaler from the beginning. */}}
  {{- with lookup "apps/v1" "Deployment" (include "sagashop.namespace" .) $name }}
  replicas: {{ .spec.replicas | default $.Values.autoscaling.minReplicas }}
  {{- end }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels: {{- include "sagashop.selector" (list . "server") | nindent 6 }}
  template:
    metadata: {{- include "sagashop.podMeta" (list . "server" .Values.podAnnotations (include "sagashop.clientOf" .Values.servers | fromYaml) .Values.podLabels) | nindent 6 }}
    spec:
      serviceAccountName: {{ $name }}
      {{- if .Values.kubernetesApi }}
      {{- include "sagashop.pod" (list . .Values 10001 "token") | nindent 6 }}
      {{- else }}
      {{- include "sagashop.pod" (list . .Values 10001) | nindent 6 }}
      {{- end }}
      {{- include "sagashop.spread" (list . "server" .Values "Deployment") | nindent 6 }}
      terminationGracePeriodSeconds: {{ .Values.drain.terminationGracePeriodSeconds }}
      {{- if .Values.development.reload }}
      initContainers:
        - name: code
          {{- include "sagashop.container" (list . $image) | nindent 10 }}
          command: [cp, -r, /app/services/., /code/]
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 200m, memory: 64Mi}}
          volumeMounts: [{name: code, mountPath: /code}]
      {{- end }}
      containers:
        - name: {{ .Chart.Name }}
          {{- include "sagashop.container" (list . $image) | nindent 10 }}
          {{- if .Values.development.reload }}
          command: [sh, -c, {{ include "service.reload" . | quote }}]
          {{- end }}
          ports:
            - {name: http, containerPort: {{ include "sagashop.port" .Chart.Name }}, protocol: TCP}
            - {name: metrics, containerPort: {{ include "service.metricsPort" . }}, protocol: TCP}
          env: {{- include "service.env" . | nindent 12 }}
          {{- with .Values.extraEnvFrom }}
          envFrom: {{- toYaml . | nindent 12 }}
          {{- end }}
          resources: {{- toYaml .Values.resources | nindent 12 }}
          startupProbe: {httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}, {{ include "service.probe" .Values.probes.startup }}}
          livenessProbe: {httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}, {{ include "service.probe" .Values.probes.liveness }}}
          readinessProbe: {httpGet: {path: /readyz, port: http, scheme: {{ $scheme }}}, {{ include "service.probe" .Values.probes.readiness }}}
          lifecycle:
            # Endpoints forget the pod first; then SIGTERM: stop consuming, finish the batch, close.
            preStop: {sleep: {seconds: {{ .Values.drain.preStopSeconds }}}}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            - {name: settings, mountPath: /var/run/secrets/sagashop.io/settings, readOnly: true}
            {{- if .Values.development.reload }}
            - {name: code, mountPath: /app/services}
            {{- end }}
            {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 12 }}{{ end }}
      volumes:
        - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 32Mi}}
        - name: settings
          projected:
            defaultMode: 0440
            sources:
              {{- include "service.settings" . | nindent 14 }}
              {{- include "sagashop.identity" . | nindent 14 }}
              {{- include "sagashop.authorities" (list . .Chart.Name) | nindent 14 }}
        {{- if .Values.development.reload }}
        - {name: code, emptyDir: {sizeLimit: 64Mi}}
        {{- end }}
        {{- with .Values.extraVolumes }}{{ toYaml . | nindent 8 }}{{ end }}
{{- end -}}

{{/* Whether an autoscaler decides how many pods there are: not of a service that is to have none. */}}
{{- define "service.autoscaled" -}}
{{- if and .Values.autoscaling.enabled (ne (toString .Values.replicaCount) "0") }}true{{ end -}}
{{- end -}}

{{- define "service.probe" -}}
periodSeconds: {{ .periodSeconds }}, timeoutSeconds: {{ .timeoutSeconds }}, failureThreshold: {{ .failureThreshold }}
{{- end -}}

{{/* Starts the service, and again whenever a file of its code becomes newer than its start; another service's are none of it. */}}
{{- define "service.reload" -}}
trap 'kill $pid; wait $pid; exit' TERM
while touch /tmp/started; do
  /app/start & pid=$!
  until [ "$(find /app/services/{{ .Chart.Name }} /app/services/shared -name '*.py' -newer /tmp/started -print -quit)" ]; do sleep 1 & wait $!; done
  kill $pid; wait $pid
done
{{- end -}}

{{/* Files, named as the settings they are. */}}
{{- define "service.settings" -}}
{{- $root := . -}}
{{- $keys := dict "mongodb" "MONGODB_URL" "rabbitmq" "AMQP_URL" "redis" "REDIS_URL" -}}
{{- range .Values.servers }}
{{- $own := list (get $keys .) }}
{{- if and (eq . "rabbitmq") $root.Values.brokerManagement }}{{ $own = append $own "MANAGEMENT_URL" }}{{ end }}
{{ include "sagashop.login" (list $root . $root.Chart.Name $own "") }}
{{- end }}
{{- $secrets := .Values.settingsSecrets }}
{{- with include "service.mail" . }}
{{- $mail := fromJson . }}
{{- $secrets = concat $secrets (list (dict "name" ($mail.existingSecret | default "") "keys" (list "SMTP_PASSWORD")) (dict "name" ($mail.caSecret | default "") "keys" (list "smtp-ca.crt"))) }}
{{- end }}
{{- with include "sagashop.stripe" (list . .Values.env) }}
{{- $stripe := fromJson . }}
{{- $given := $stripe.existingSecret }}
{{- if $root.Values.readsStripe }}
{{- $secrets = append $secrets (dict "name" ($stripe.readingSecret | default $given) "keys" (list "STRIPE_API_KEY")) }}
{{- else }}
{{- $secrets = concat $secrets (list (dict "name" $given "keys" (list "STRIPE_API_KEY" "PAYMENT_WEBHOOK_SECRET")) (dict "name" $given "keys" (list "PAYMENT_WEBHOOK_SECRET_OTHER") "optional" true)) }}
{{- end }}
{{- end }}
{{- range $secret := $secrets }}
{{- with tpl .name $root }}
- secret:
    name: {{ . }}
    {{- if $secret.optional }}
    optional: true
    {{- end }}
    items:
      {{- range $secret.keys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- end }}
{{- end -}}
