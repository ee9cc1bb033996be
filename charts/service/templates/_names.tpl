{{/* The release's name or the one that is given for it, as names of objects begin with it: what comes after it needs its place within 63 characters, and what
     is cut off still tells releases apart. */}}
{{- define "sagashop.prefix" -}}
{{- $name := dig "nameOverride" "" (.Values.global | default dict) | default .Release.Name -}}
{{- if gt (len $name) 35 -}}
{{- printf "%s-%s" ($name | trunc 26 | trimSuffix "-") ($name | sha256sum | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* Every object of a chart is called <release>-<chart>, so that charts find each other by name alone. */}}
{{- define "sagashop.fullname" -}}
{{- printf "%s-%s" (include "sagashop.prefix" .) .Chart.Name -}}
{{- end -}}

{{/* The name of a sibling chart's object. Takes (list $ "order"). */}}
{{- define "sagashop.sibling" -}}
{{- printf "%s-%s" (include "sagashop.prefix" (index . 0)) (index . 1) -}}
{{- end -}}

{{/* The charts' one list of the shop's own services: where each listens, inside the pod and on its Service. */}}
{{- define "sagashop.services" -}}
auth: 3001
order: 3002
gateway: 3003
product: 3004
inventory: 3005
payment: 3006
notification: 3007
{{- end -}}

{{/* Where a service listens. Takes "order". */}}
{{- define "sagashop.port" -}}
{{- get (merge (dict "console" 3008 "fulfilment" 3009) (include "sagashop.services" . | fromYaml)) . -}}
{{- end -}}

{{/* Whether the release has a console. Those who make users for it know by a global value: charts do not see each other's. */}}
{{- define "sagashop.console" -}}
{{- if dig "console" "enabled" false (.Values.global | default dict) }}true{{ end -}}
{{- end -}}

{{/* The same of the fulfilment service. */}}
{{- define "sagashop.fulfilment" -}}
{{- if dig "fulfilment" "enabled" false (.Values.global | default dict) }}true{{ end -}}
{{- end -}}

{{/* Who has a user on a server beside the tools, by name, as JSON: services that speak by events and the console are on each, auth keeps
     accounts, the gateway counts requests. Takes (list $ "mongodb"), "rabbitmq" or "redis". */}}
{{- define "sagashop.usersOf" -}}
{{- $engines := without (include "sagashop.services" . | fromYaml | keys) "auth" "gateway" -}}
{{- $more := dict "mongodb" (list "auth") "rabbitmq" list "redis" (list "gateway") -}}
{{- $console := include "sagashop.console" (index . 0) | empty | ternary list (list "console") -}}
{{- $fulfilment := include "sagashop.fulfilment" (index . 0) | empty | ternary list (list "fulfilment") -}}
{{- concat $engines (get $more (index . 1)) $console $fulfilment | sortAlpha | toJson -}}
{{- end -}}

{{/* The URL of a sibling service. Takes (list $ "order"). */}}
{{- define "sagashop.url" -}}
{{- printf "%s://%s:%s" (include "sagashop.http" (index . 0)) (include "sagashop.sibling" .) (include "sagashop.port" (index . 1)) -}}
{{- end -}}

{{/* Labels that select pods; they never change. Takes (list $ "component"). */}}
{{- define "sagashop.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of pods: a new chart version alone restarts nothing. Takes (list $ "component"). */}}
{{- define "sagashop.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "sagashop.selector" . }}
app.kubernetes.io/part-of: sagashop
app.kubernetes.io/version: {{ $root.Chart.AppVersion | default $root.Chart.Version | quote }}
{{- with dig "commonLabels" dict ($root.Values.global | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods by which servers let them in. Takes (list "mongodb" ...). */}}
{{- define "sagashop.clientOf" -}}
{{- range . }}
sagashop.io/{{ . }}-client: "true"
{{- end }}
{{- end -}}

{{/* The recommended labels. Takes (list $ "component"). */}}
{{- define "sagashop.labels" -}}
{{- $root := index . 0 -}}
{{ include "sagashop.podLabels" . }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Where the objects of the release are: in its own namespace, unless another is said. */}}
{{- define "sagashop.namespace" -}}
{{- dig "namespaceOverride" "" (.Values.global | default dict) | default .Release.Namespace -}}
{{- end -}}

{{/* What an object's metadata has beside its name. Takes (list $ "component"), and after them annotations and labels of its own, which
     win over those that all objects have. */}}
{{- define "sagashop.meta" -}}
namespace: {{ include "sagashop.namespace" (first .) | quote }}
{{ include "sagashop.clusterMeta" . }}
{{- end -}}

{{/* The same for what belongs to no namespace, or to another one, and for templates that are no pods. */}}
{{- define "sagashop.clusterMeta" -}}
{{- include "sagashop.noted" (prepend . "sagashop.labels") -}}
{{- end -}}

{{/* The same for pods. */}}
{{- define "sagashop.podMeta" -}}
{{- include "sagashop.noted" (prepend . "sagashop.podLabels") -}}
{{- end -}}

{{/* Labels and annotations, all objects' and an object's own. Takes (list "name of the labels' template" $ "component" ...). */}}
{{- define "sagashop.noted" -}}
{{- $root := index . 1 -}}{{- $own := slice . 3 -}}
{{- $labels := include (first .) (rest .) | fromYaml -}}
{{- range slice (append $own dict) 1 }}{{ $labels = mergeOverwrite $labels (. | default dict) }}{{ end -}}
labels: {{- toYaml $labels | nindent 2 }}
{{- $all := dig "commonAnnotations" dict ($root.Values.global | default dict) | default dict -}}
{{- with mergeOverwrite dict $all (first (append $own dict) | default dict) }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A selector of a sibling's pods, as a NetworkPolicy peer. Takes (list $ "order"). */}}
{{- define "sagashop.peer" -}}
podSelector: {matchLabels: {app.kubernetes.io/name: {{ index . 1 }}, app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}}}
{{- end -}}

{{/* An image of our own: what it does not say itself, `global.image` says. Without a registry its name would be one of Docker Hub's,
     where it is not ours: it is on the nodes, or not at all. Takes (list $ image), gives one, as YAML. */}}
{{- define "sagashop.ours" -}}
{{- $global := (index . 0).Values.global | default dict -}}{{- $image := index . 1 -}}
{{- $all := dig "image" dict $global -}}
{{- $nowhere := not (or $all.registry $global.imageRegistry $image.registry (not (hasPrefix "sagashop/" $image.repository))) -}}
{{- $policy := $image.pullPolicy | default $all.pullPolicy | default ($nowhere | ternary "Never" "IfNotPresent") -}}
{{- mergeOverwrite (deepCopy $image) (dict "tag" ($image.tag | default $all.tag) "pullPolicy" $policy "home" $all.registry) | toYaml -}}
{{- end -}}

{{/* registry/repository:tag@digest. Takes (list $ image): the registry is the one of our own images, else the mirror of all, else its
     own; the tag defaults to the chart's appVersion. */}}
{{- define "sagashop.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- with $image.home | default (dig "imageRegistry" "" ($root.Values.global | default dict)) | default $image.registry }}{{ . }}/{{ end -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* The Secret with a service's connection URL. Takes (list $ "mongodb" "order"): a given Secret, or the one that the
     bundled chart makes. */}}
{{- define "sagashop.credentials" -}}
{{- $root := index . 0 -}}{{- $server := index . 1 -}}{{- $user := index . 2 -}}
{{- $given := dig $server "existingSecrets" $user "" ($root.Values.global | default dict) -}}
{{- $given | default (include "sagashop.sibling" (list $root (printf "%s-%s" $server $user))) -}}
{{- end -}}

{{/* The one Secret that holds all passwords, as `sagactl secrets` writes it; empty where there is none. */}}
{{- define "sagashop.passwords" -}}
{{- dig "secrets" "existingSecret" "" (.Values.global | default dict) -}}
{{- end -}}

{{/* Where a user's password is, as JSON: the Secret, and the key in it; nothing where its URL was given as a whole.
     Takes (list $ "mongodb" "order"). */}}
{{- define "sagashop.password" -}}
{{- $root := index . 0 -}}{{- $server := index . 1 -}}{{- $user := index . 2 -}}
{{- if not (dig $server "existingSecrets" $user "" ($root.Values.global | default dict)) -}}
{{- with include "sagashop.passwords" $root -}}
{{- dict "name" . "key" (printf "%s-%s" $server $user) | toJson -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Files with a user's connection URLs, as sources of a projected volume: from a Secret that holds them with their password, or, of
     the one Secret with all passwords, its password beside the URLs, which are composed in the pod.
     Takes (list $ "mongodb" "order" (list "MONGODB_URL") "folder/"). */}}
{{- define "sagashop.login" -}}
{{- $root := index . 0 -}}{{- $server := index . 1 -}}{{- $user := index . 2 -}}{{- $keys := index . 3 -}}{{- $folder := index . 4 -}}
{{- $files := dict "mongodb" "MONGODB_PASSWORD" "rabbitmq" "AMQP_PASSWORD" "redis" "REDIS_PASSWORD" -}}
{{- with include "sagashop.password" (list $root $server $user) -}}
{{- $password := fromJson . -}}
- secret: {name: {{ $password.name }}, items: [{key: {{ $password.key }}, path: {{ $folder }}{{ get $files $server }}}]}
- configMap:
    name: {{ include "sagashop.sibling" (list $root $server) }}-urls
    items:
      {{- range $keys }}
      - {key: {{ $user }}.{{ . }}, path: {{ $folder }}{{ . }}}
      {{- end }}
{{- else -}}
- secret:
    name: {{ include "sagashop.credentials" (list $root $server $user) }}
    items:
      {{- range $keys }}
      - {key: {{ . }}, path: {{ $folder }}{{ . }}}
      {{- end }}
{{- end -}}
{{- end -}}

{{/* One value of a Secret that may exist, decoded. Takes (list $ "secret" "key"). An upgrade keeps what an install made. */}}
{{- define "sagashop.stored" -}}
{{- $root := index . 0 -}}
{{- $secret := lookup "v1" "Secret" (include "sagashop.namespace" $root) (index . 1) -}}
{{- with $secret }}{{ get (.data | default dict) (index $ 2) | b64dec }}{{ end -}}
{{- end -}}
