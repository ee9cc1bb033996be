"""What the environment tells the operator."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, FilePath, ValidationError
from pydantic_settings import BaseSettings, NoDecode

from saga_operator.fleet import Owner


def _names(text: object) -> object:
    if not isinstance(text, str):
        return text
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
# 0 lets the system choose: for tests.
Port = Annotated[int, Field(ge=0, le=65535)]


def _sentence(where: tuple[int | str, ...], message: str) -> str:
    name, *within = map(str, where)
    return f"{'.'.join([name.upper(), *within])}: {message}"


class MonitorTemplate(BaseModel):
    """The SagaMonitor that the release comes with."""

    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    spec: dict[str, Any]


class Settings(BaseSettings):
    # The namespaces that are served, separated by commas; none means all of them.
    watch_namespace: Names = ()
    pod_namespace: Names = ()
    # Whose SagaMonitors are served; none means everybody's.
    release: str = ""
    # The release's own order Service, and the operator's Deployment.
    order_service: str = ""
    deployment: str = ""
    # As JSON; it is made in the operator's own namespace, and goes with its Deployment.
    monitor: MonitorTemplate | None = None
    # Those whose Services may be sent the operator's own token.
    token_namespaces: Names = ()
    order_token_file: Path = Path("/var/run/secrets/sagashop.io/order/token")
    # Where metrics and the probe are served: all addresses of a family.
    host: IPv4Address | IPv6Address = IPv4Address("0.0.0.0")  # noqa: S104  # a pod is there to be asked
    metrics_port: Port = 8081
    liveness_port: Port = 8080
    # With a certificate and its key (PEM), metrics are told by TLS alone.
    tls_cert_file: FilePath | None = None
    tls_key_file: FilePath | None = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"

    @classmethod
    def given(cls) -> Self:
        """Those of this process. Raises SystemExit, with a sentence about each variable that is wrong.

        As the services do, which the operator's image has nothing of.
        """
        try:
            return cls()
        except ValidationError as error:
            faults = [_sentence(fault["loc"], fault["msg"]) for fault in error.errors()]
            raise SystemExit("\n".join(faults)) from None

    @property
    def owner(self) -> Owner:
        """The release that the operator belongs to."""
        return Owner(self.release, next(iter(self.pod_namespace), ""), self.order_service)

    @property
    def probed_at(self) -> str:
        """The URL of the liveness probe."""
        host = f"[{self.host}]" if self.host.version == 6 else self.host  # noqa: PLR2004  # IPv6
        return f"http://{host}:{self.liveness_port}/healthz"

    @property
    def trusted_namespaces(self) -> frozenset[str]:
        """The namespaces whose Services may be sent the token, by default its own."""
        return frozenset(self.token_namespaces or self.pod_namespace)
