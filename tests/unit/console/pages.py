"""Pages of the console as a person reads them: the text without the markup, and what their links lead to."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any, Final

from console import templating
from services.shared.http.auth import User
from services.shared.http.rights import ROLES, Role

NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
VOID: Final = {"meta", "link", "input", "br"}


def somebody(role: Role) -> User:
    return User(id="eve", email="eve@shop.example", rights=ROLES[role], roles=(role,))


def rendered(name: str, **more: Any) -> "Page":
    """As it is given to whoever is signed in as an administrator, unless said otherwise."""
    usual = {
        "person": somebody(Role.ADMIN),
        "csrf": "token",
        "here": "",
        "now": NOW,
        "path": "/",
        "theme": "",
        "failed": "",
        "commands": (),
    }
    return Page(templating.render(name, **(usual | more)))


class Page(HTMLParser):
    """Raises AssertionError for elements that are not closed in their order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.words: list[str] = []
        self.links: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all_of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def commands(self) -> list[str]:
        """What is there to be pasted into a shell."""
        return [str(each["value"]) for each in self.all_of("input") if each.get("class") == "command"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert len(attributes) == len(attrs), (tag, attrs)
        self.elements.append((tag, attributes))
        if tag == "a" and attributes.get("href"):
            self.links.append(str(attributes["href"]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        # Of these the end may be left out; ours never is.
        assert self._open.pop() == tag, (tag, self._open)

    def handle_data(self, data: str) -> None:
        self.words.append(data)
