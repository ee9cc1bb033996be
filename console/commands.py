"""What a command of sagactl would show or do, as a page here. Pure."""

from urllib.parse import quote, urlencode


def page_of(command: str) -> str:  # noqa: PLR0911  # a case each
    """Its page; empty where it has none."""
    match command.split():
        case ["sagactl", "explain", order] | ["sagactl", "orders", "show", order]:
            return f"/orders/{quote(order, safe='')}"
        case ["sagactl", "repair", order]:
            return f"/orders/{quote(order, safe='')}/repair"
        case ["sagactl", "orders", "list", "--marked"]:
            return "/orders?show=attention"
        case ["sagactl", "letters", "list", "--queue", queue]:
            return _with("/letters", queue=queue)
        case ["sagactl", "letters", "show", queue, id_]:
            return _with("/letter", queue=queue, id=id_)
        case ["sagactl", "letters", "redrive", queue, "--id", id_]:
            return _with("/letters/redrive", queue=queue, id=id_)
        case ["sagactl", "letters", "discard", queue, id_]:
            return _with("/letters/discard", queue=queue, id=id_)
        case ["sagactl", "stock", "show", product]:
            return f"/products/{quote(product, safe='')}"
    return ""


def _with(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"
