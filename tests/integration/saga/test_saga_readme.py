"""The README's lines, pasted into a shell as they stand: they order something, and follow it to its end."""

import asyncio
import re
from pathlib import Path

from sagactl.shop import Client
from tests.integration.saga.shop import Shop

README = Path(__file__).parents[3] / "README.md"
WITHIN_SECONDS = 120


def the_lines() -> str:
    text = README.read_text()
    (lines,) = re.findall(r"<!-- order:begin -->\n```bash\n(.*?)```", text, re.DOTALL)
    return str(lines)


async def test_the_lines_of_the_readme_follow_an_order_until_it_is_paid(shop: Shop, tmp_path: Path) -> None:
    # What `make up` leaves beside a running stack: where it is, a customer, something to buy.
    (tmp_path / ".run").symlink_to(shop.stack.directory)
    customer = shop.stack.customer
    await Client(shop.session, shop.stack.gateway).register("Ann", customer["email"], customer["password"])
    await shop.product(stock=1)
    # They buy what is listed first, which may be sold out by the tests before.
    admin = await shop.client("admin")
    first = (await admin.call("GET", "/api/products"))["items"][0]["productId"]
    await admin.call("POST", f"/api/inventory/{first}/restock", {"quantity": 1})

    pasted = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", the_lines()),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(pasted.communicate(), WITHIN_SECONDS)
    assert pasted.returncode == 0, error.decode()
    events = [line.split("  ")[1:] for line in out.decode().splitlines()]
    assert events == [
        ["ORDER_CREATED", "PENDING"],
        ["INVENTORY_RESERVED", "CONFIRMED"],
        ["PAYMENT_SUCCEEDED", "PAID"],
    ]


def test_there_are_four_lines() -> None:
    assert len(the_lines().splitlines()) == 4
