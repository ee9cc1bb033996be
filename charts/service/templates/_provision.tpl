{{/* Secrets with each user's connection URL, and the Job that makes these users on the server. */}}

{{/* Makes what the users of a server log in with, apart from those whose URLs were given: for each a Secret with password and URLs,
     or, where one Secret has all passwords, a ConfigMap with the URLs without.
     Takes (list $ "mongodb" <users dict: user -> dict: KEY -> URL with %s:%s@ for user and password>). */}}
{{- define "sagashop.users" -}}
{{- $root := index . 0 -}}{{- $server := index . 1 -}}
{{- $urls := dict -}}
{{- range $user, $own := index . 2 }}
{{- if include "sagashop.password" (list $root $server $user) -}}
{{- range $key, $url := $own }}{{ $_ := set $urls (printf "%s.%s" $user $key) (replace "%s:%s@" (printf "%s@" $user) $url) }}{{ end -}}
{{- else if not (dig $server "existingSecrets" $user "" ($root.Values.global | default dict)) }}
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
  {{- range $key, $url := $own }}
  {{ $key }}: {{ replace "%s:%s@" (printf "%s:%s@" $user $password) $url | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- with $urls }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "sagashop.sibling" (list $root $server) }}-urls
  labels: {{- include "sagashop.labels" (list $root "user") | nindent 4 }}
data: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A plain Job, named by a hash of what it does, passwords included: a Job cannot be changed, and a hook would keep
     --wait waiting for pods that wait for the hook. Takes (dict "root" $ "server" "mongodb" "key" "MONGODB_URL" "users" list "admin" (sources of a volume, as
     YAML) "steps" (list of lists of arguments)). */}}
{{- define "sagashop.provisionJob" -}}
{{- $root := .root -}}
{{- $values := $root.Values.provision -}}
{{- $image := include "sagashop.ours" (list $root $values.image) | fromYaml -}}
{{- $image = mergeOverwrite $image (dict "tag" ($image.tag | default $root.Chart.Version)) -}}
{{- $spec := include "sagashop.provisionPod" (dict "job" . "image" $image) -}}
{{- $passwords := list -}}
{{- range .users -}}
{{- $secret := include "sagashop.credentials" (list $root $.server .) -}}
{{- $stored := printf "%s%s" (include "sagashop.stored" (list $root $secret "password")) (include "sagashop.stored" (list $root $secret $.key)) -}}
{{- with include "sagashop.password" (list $root $.server .) -}}
{{- $password := fromJson . -}}
{{- $stored = include "sagashop.stored" (list $root $password.name $password.key) -}}
{{- end -}}
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
{{- $authorities := include "sagashop.authorities" (list $root $root.Chart.Name) -}}
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
    {{- if $authorities }}
    env: [{name: SSL_CERT_FILE, value: /var/run/secrets/sagashop.io/tls/ca.crt}]
    {{- end }}
    volumeMounts:
      {{- if $authorities }}
      - {name: tls, mountPath: /var/run/secrets/sagashop.io/tls, readOnly: true}
      {{- end }}
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
        {{- include "sagashop.login" (list $root $job.server . (list $job.key) (printf "%s/" .)) | nindent 8 }}
        {{- end }}
  - name: admin
    projected:
      defaultMode: 0440
      sources: {{- $job.admin | nindent 8 }}
  {{- with $authorities }}
  - name: tls
    projected: {defaultMode: 0440, sources: {{ fromYamlArray . | toJson }}}
  {{- end }}
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
  egress:
    {{- include "sagashop.egress.dns" $root | nindent 4 }}
    - to: [{podSelector: {matchLabels: {{ include "sagashop.selector" (list $root "server") | fromYaml | toJson }}}}]
      ports:
        {{- range index . 1 }}
        - {port: {{ . }}, protocol: TCP}
        {{- end }}
    {{- include "sagashop.egress.external" $root | nindent 4 }}
{{- end -}}
