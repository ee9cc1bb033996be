"""Who may use the admin API in a cluster: service accounts on a list, shown by a token made for us.

The audience alone proves nothing: any pod may ask for a token with it. The list alone neither: a token for
the Kubernetes API, sent to us by mistake, would do. Hence both.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from services.shared.http.auth import Forbidden, KeysUnavailable, Unauthenticated

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient, V1TokenReviewStatus

# How long a review is believed: a revoked token works that much longer.
BELIEVED_SECONDS: Final = 30.0
REMEMBERED_AT_MOST: Final = 100
TIMEOUT_SECONDS: Final = 5.0


class ReviewUnavailable(KeysUnavailable):
    """The Kubernetes API cannot be asked, or does not let us ask."""


@dataclass
class TokenReviewer:
    """Asks the Kubernetes API whose a token is. Make one by `connect`, and close it."""

    client: "ApiClient"
    audience: str
    # As `system:serviceaccount:<namespace>:<name>`.
    subjects: Collection[str]
    clock: Callable[[], float] = monotonic
    _known: dict[bytes, tuple[str, float]] = field(default_factory=dict, repr=False)

    @classmethod
    async def connect(cls, audience: str, subjects: Collection[str]) -> Self:
        """By the pod's service account, or by KUBECONFIG outside of a cluster."""
        # Imported late: the client costs two seconds and 25 MiB, and only a cluster has a use for it.
        from kubernetes.aio import config  # noqa: PLC0415 - see above
        from kubernetes.aio.client import ApiClient, Configuration  # noqa: PLC0415 - see above

        configuration = Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # kubernetes has no types
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # kubernetes has no types
        return cls(ApiClient(configuration), audience, frozenset(subjects))

    async def close(self) -> None:
        await self.client.close()  # type: ignore[no-untyped-call]  # kubernetes has no types

    async def authenticate(self, token: str) -> str:
        """Return the subject's name. Raise Unauthenticated, Forbidden or ReviewUnavailable."""
        if not token:
            raise Unauthenticated("a bearer token is needed")
        key = hashlib.sha256(token.encode()).digest()
        subject, until = self._known.get(key, ("", 0.0))
        if self.clock() >= until:
            subject = self._allowed(await self._review(token))
            self._remember(key, subject)
        return subject

    def _allowed(self, status: "V1TokenReviewStatus") -> str:
        if not status.authenticated or status.user is None:
            raise Unauthenticated("the token is not valid here")
        # A reviewer that knows nothing of audiences leaves them out, and then the token is for anyone.
        if self.audience not in (status.audiences or ()):
            raise Unauthenticated(f"the token is not for the audience {self.audience}")
        subject = str(status.user.username)
        if subject not in self.subjects:
            raise Forbidden(f"{subject} is not on the list of operators")
        return subject

    def _remember(self, key: bytes, subject: str) -> None:
        """Only good answers: a refused token costs a review each time, a stolen list of them no memory."""
        now = self.clock()
        self._known = {known: entry for known, entry in self._known.items() if entry[1] > now}
        if len(self._known) < REMEMBERED_AT_MOST:
            self._known[key] = (subject, now + BELIEVED_SECONDS)

    async def _review(self, token: str) -> "V1TokenReviewStatus":
        from kubernetes.aio.client import (  # noqa: PLC0415 - see connect
            AuthenticationV1Api,
            V1TokenReview,
            V1TokenReviewSpec,
        )
        from kubernetes.aio.client.exceptions import ApiException  # noqa: PLC0415 - see connect

        asked = V1TokenReview(spec=V1TokenReviewSpec(token=token, audiences=[self.audience]))
        try:
            answer = await AuthenticationV1Api(self.client).create_token_review(
                asked, _request_timeout=TIMEOUT_SECONDS
            )
        except ApiException as error:
            raise ReviewUnavailable(f"the token review was refused: {error.status} {error.reason}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ReviewUnavailable(f"the Kubernetes API is away: {error!r}") from error
        if answer.status is None:
            raise ReviewUnavailable("the token review has no status")
        return answer.status
