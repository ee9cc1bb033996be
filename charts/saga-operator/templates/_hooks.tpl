{{/* Takes (list "events" "weight"). */}}
{{- define "saga-operator.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
helm.sh/hook-output-log-policy: hook-failed
{{- end -}}

{{/* Takes (list $ "command" "events" arguments). */}}
{{- define "saga-operator.hookJob" -}}
{{- $root := index . 0 -}}{{- $command := index . 1 -}}
{{- $name := printf "%s-hooks" (include "sagashop.fullname" $root) -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "sagashop.fullname" $root }}-{{ $command }}
  labels: {{- include "sagashop.labels" (list $root "hook") | nindent 4 }}
  annotations: {{- include "saga-operator.hook" (list (index . 2) "0") | nindent 4 }}
spec:
  backoffLimit: 3
  activeDeadlineSeconds: 240
  template:
    metadata:
      labels: {{- include "sagashop.podLabels" (list $root "hook") | nindent 8 }}
    spec:
      serviceAccountName: {{ $name }}
      {{- include "sagashop.pod" (list $root $root.Values 10001 "token") | nindent 6 }}
      restartPolicy: Never
      containers:
        - name: {{ $command }}
          {{- include "sagashop.container" (list $root $root.Values.image) | nindent 10 }}
          command: [python, -m, saga_operator.hooks, {{ $command }}]
          args: {{- toYaml (index . 3) | nindent 12 }}
          resources: {requests: {cpu: 50m, memory: 96Mi}, limits: {cpu: 500m, memory: 192Mi}}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if eq $command "apply-crd" }}
            - {name: crds, mountPath: /crds, readOnly: true}
            {{- end }}
      volumes:
        - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 16Mi}}
        {{- if eq $command "apply-crd" }}
        - name: crds
          configMap: {name: {{ $name }}-crd}
        {{- end }}
{{- end -}}
