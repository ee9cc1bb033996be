# What `make images PUSH=registry.example/team` builds and pushes: every image for both kinds of machines, with a list of what is in it
# (SBOM) and a statement of how it was built (provenance). `docker buildx bake --print` shows it.
variable "REGISTRY" { default = "registry.example" }
variable "VERSION" { default = "0.0.0" }
variable "REVISION" { default = "unknown" }
variable "SOURCE" { default = "" }
variable "BASE_IMAGE" { default = "" }
variable "PLATFORMS" { default = "linux/amd64,linux/arm64" }

group "default" {
  targets = ["images"]
}

target "images" {
  name = service
  matrix = {
    service = ["auth", "console", "fulfilment", "gateway", "inventory", "notification", "operator", "order", "payment", "product", "sagactl"]
  }
  args = {
    SERVICE    = service
    VERSION    = VERSION
    REVISION   = REVISION
    BASE_IMAGE = BASE_IMAGE != "" ? BASE_IMAGE : null
  }
  labels    = SOURCE != "" ? { "org.opencontainers.image.source" = SOURCE } : {}
  tags      = ["${REGISTRY}/sagashop/${service}:${VERSION}"]
  platforms = split(",", PLATFORMS)
  attest    = ["type=sbom", "type=provenance,mode=max"]
}
