"""Connection URLs whose password is kept apart from them."""

from urllib.parse import quote


def with_password(url: str, password: str) -> str:
    """The URL, whose user logs in with this password; an empty one is none.

    Raises ValueError where the URL names no user, or has a password of its own. It tells neither of them.
    """
    if not password:
        return url
    scheme, _, rest = url.partition("://")
    user, at, places = rest.partition("@")
    if not (user and at):
        raise ValueError("a password is given, and the URL that it is for names no user")
    if ":" in user:
        raise ValueError("a password is given, and the URL that it is for has one, too")
    return f"{scheme}://{user}:{quote(password, safe='')}@{places}"
