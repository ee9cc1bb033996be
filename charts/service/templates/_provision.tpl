{{/* Secrets with each user's connection URL, and the Job that makes these users on the server. */}}

{{/* Makes one user's Secret, unless one was given. Takes (list $ "server" "user" "KEY" <urls dict: KEY -> URL with %s>). */}}
{{- define "sagashop.user" -}}
{{- $root := index . 0 -}}{{- $server := index . 1 -}}{{- $user := index . 2 -}}{{- $urls := index . 3 -}}
{{- if not (dig $server "existingSecrets" $user "" ($root.Values.global | default dict)) }}
{{- $name := include "sagashop.credentials" (list $root $server $user) -}}
{{- $password := include "sagashop.stored" (list $root $name "password") | default (randAlphaNum 32) }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ $name }}
  labels: {{- include "sagashop.labels" (list $root "user") | nindent 4 }}
stringData:
  username: {{ $user }}
  password: {{ $password }}
  {{- range $key, $url := $urls }}
  {{ $key }}: {{ printf $url $user $password | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A plain Job, named by a hash of what it does, passwords included: a Job cannot be changed, and a hook would keep
     --wait waiting for pods that wait for the hook. Takes (dict "root" $ "server" "mongodb" "key" "MONGODB_URL" "users" list "admin" secret
     "adminKey" key "steps" (list of lists of arguments) "extra" (projected sources)). */}}
{{- define "sagashop.provisionJob" -}}
{{- $root := .root -}}
{{- $values := $root.Values.provision -}}
{{- $image := mergeOverwrite (deepCopy $values.image) (dict "tag" ($values.image.tag | default $root.Chart.Version)) -}}
{{- $spec := include "sagashop.provisionPod" (dict "job" . "image" $image) -}}
{{- $passwords := list -}}
{{- range .users -}}
{{- $secret := include "sagashop.credentials" (list $root $.server .) -}}
{{- $stored := printf "%s%s" (include "sagashop.stored" (list $root $secret "password")) (include "sagashop.stored" (list $root $secret $.key)) -}}
{{- $passwords = append $passwords ($stored | default (toString $root.Release.Revision)) -}}
{{- end -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "sagashop.fullname" $root }}-provision
  labels: {{- include "sagashop.labels" (list $root "provision") | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ printf "%s-provision-%s" (include "sagashop.fullname" $root) (printf "%s%s" $spec (join "" $passwords) | sha256sum | trunc 8) }}
  labels: {{- include "sagashop.labels" (list $root "provision") | nindent 4 }}
spec:
  backoffLimit: 20
  template:
    metadata:
      labels:
        {{- include "sagashop.podLabels" (list $root "provision") | nindent 8 }}
        sagashop.io/{{ .server }}-client: "true"
    spec: {{- $spec | nindent 6 }}
{{- end -}}

{{- define "sagashop.provisionPod" -}}
{{- $job := .job -}}{{- $root := $job.root -}}{{- $image := .image -}}
serviceAccountName: {{ include "sagashop.fullname" $root }}-provision
{{/* where the server may run */ -}}
{{ include "sagashop.pod" (list $root (merge (dict "image" $image) (pick $root.Values "priorityClassName" "nodeSelector" "tolerations" "affinity")) 10001) }}
restartPolicy: OnFailure
{{- range $number, $arguments := $job.steps }}
{{- if eq (add1 $number | int) (len $job.steps) }}
containers:
{{- else }}
initContainers:
{{- end }}
  - name: {{ index $arguments 0 }}
    {{- include "sagashop.container" (list $root $image) | nindent 4 }}
    command: [python, -m, sagactl.provision]
    args: {{- toYaml $arguments | nindent 6 }}
    resources: {{- toYaml $root.Values.provision.resources | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      - {name: users, mountPath: /var/run/secrets/sagashop.io/users, readOnly: true}
      - {name: admin, mountPath: /var/run/secrets/sagashop.io/admin, readOnly: true}
{{- end }}
volumes:
  - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 32Mi}}
  - name: users
    projected:
      defaultMode: 0440
      sources:
        {{- range $job.users }}
        - secret: {name: {{ include "sagashop.credentials" (list $root $job.server .) }}, items: [{key: {{ $job.key }}, path: {{ . }}/{{ $job.key }}}]}
        {{- end }}
  - name: admin
    secret: {secretName: {{ $job.admin }}, defaultMode: 0440}
{{- end -}}

{{/* What the Job may reach. Takes (list $ ports). */}}
{{- define "sagashop.provisionPolicy" -}}
{{- $root := index . 0 -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "sagashop.fullname" $root }}-provision
  labels: {{- include "sagashop.labels" (list $root "provision") | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "sagashop.selector" (list $root "provision") | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress: []
  egress:
    {{- include "sagashop.egress.dns" $root | nindent 4 }}
    - to: [{podSelector: {matchLabels: {{ include "sagashop.selector" (list $root "server") | fromYaml | toJson }}}}]
      ports:
        {{- range index . 1 }}
        - {port: {{ . }}, protocol: TCP}
        {{- end }}
    {{- include "sagashop.egress.external" $root | nindent 4 }}
{{- end -}}
