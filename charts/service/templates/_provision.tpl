{{/* Secrets with each user's connection URL, and what makes these users on the server. */}}

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
  {{- include "sagashop.meta" (list $root "user") | nindent 2 }}
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
  {{- include "sagashop.meta" (list $root "user") | nindent 2 }}
data: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What makes the users on the server, and again whenever something of it is missing: a server that lost its volume comes back
     empty. Takes (dict "root" $ "server" "mongodb" "key" "MONGODB_URL" "users" list "admin" (sources of a volume,
     as YAML) "arguments" list). */}}
{{- define "sagashop.provisioner" -}}
{{- $root := .root -}}
{{- $values := $root.Values.provision -}}
{{- $image := include "sagashop.ours" (list $root $values.image) | fromYaml -}}
{{- $image = mergeOverwrite $image (dict "tag" ($image.tag | default $root.Chart.Version)) -}}
{{- $name := printf "%s-provision" (include "sagashop.fullname" $root) -}}
{{- $secrets := "/var/run/secrets/sagashop.io" -}}
{{- $authorities := include "sagashop.authorities" (list $root $root.Chart.Name) -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  {{- include "sagashop.meta" (list $root "provision") | nindent 2 }}
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  {{- include "sagashop.meta" (list $root "provision") | nindent 2 }}
spec:
  replicas: 1
  revisionHistoryLimit: 3
  strategy: {type: Recreate}
  selector:
    matchLabels: {{- include "sagashop.selector" (list $root "provision") | nindent 6 }}
  template:
    metadata: {{- include "sagashop.podMeta" (list $root "provision" dict (include "sagashop.clientOf" (list .server) | fromYaml)) | nindent 6 }}
    spec:
      serviceAccountName: {{ $name }}
      {{- /* where the server may run */}}
      {{- include "sagashop.pod" (list $root (merge (dict "image" $image) (pick $root.Values "priorityClassName" "nodeSelector" "tolerations" "affinity")) 10001) | nindent 6 }}
      terminationGracePeriodSeconds: 5
      containers:
        - name: provision
          {{- include "sagashop.container" (list $root $image) | nindent 10 }}
          command: [python, -m, sagactl.provision, {{ .server }}]
          args: {{- toYaml (concat (list "--users" (printf "%s/users" $secrets) "--every" "10" "--mark" "/tmp/whole") .arguments) | nindent 12 }}
          {{- if $authorities }}
          env: [{name: SSL_CERT_FILE, value: {{ $secrets }}/tls/ca.crt}]
          {{- end }}
          # The file tells by its age that it looks, and by what is in it that nothing is missing.
          startupProbe: {exec: {command: [test, -e, /tmp/whole]}, periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 150}
          livenessProbe: {exec: {command: [sh, -c, 'test -n "$(find /tmp/whole -mmin -10)"']}, periodSeconds: 60, timeoutSeconds: 10}
          readinessProbe: {exec: {command: [test, -s, /tmp/whole]}, periodSeconds: 2, timeoutSeconds: 5}
          resources: {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            {{- if $authorities }}
            - {name: tls, mountPath: {{ $secrets }}/tls, readOnly: true}
            {{- end }}
            - {name: tmp, mountPath: /tmp}
            - {name: users, mountPath: {{ $secrets }}/users, readOnly: true}
            - {name: admin, mountPath: {{ $secrets }}/admin, readOnly: true}
      volumes:
        - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 32Mi}}
        - name: users
          projected:
            defaultMode: 0440
            sources:
              {{- range .users }}
              {{- include "sagashop.login" (list $root $.server . (list $.key) (printf "%s/" .)) | nindent 14 }}
              {{- end }}
        - name: admin
          projected:
            defaultMode: 0440
            sources: {{- .admin | nindent 14 }}
        {{- with $authorities }}
        - name: tls
          projected: {defaultMode: 0440, sources: {{ fromYamlArray . | toJson }}}
        {{- end }}
{{- end -}}

{{/* What it may reach. Takes (list $ ports). */}}
{{- define "sagashop.provisionPolicy" -}}
{{- $root := index . 0 -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "sagashop.fullname" $root }}-provision
  {{- include "sagashop.meta" (list $root "provision") | nindent 2 }}
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
