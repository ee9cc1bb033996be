"""`sagactl` at the tests' shop."""

from typer.testing import Result

from sagactl.access import Access
from sagactl.shop import Json
from tests.forms import document
from tests.integration.command_line import called
from tests.integration.saga.shop import Shop


def where(shop: Shop, columns: int = 160) -> dict[str, str]:
    """The variables by which it finds the shop, and the width of its screen."""
    return {"STACK_DIR": str(shop.stack.directory), "COLUMNS": str(columns)}


async def sagactl(shop: Shop, *command: str, columns: int = 160) -> Result:
    return await called(*command, environment=where(shop, columns))


async def said(shop: Shop, *command: str, exits: int = 0) -> str:
    """What it prints, on a wide screen."""
    result = await sagactl(shop, *command, columns=250)
    assert result.exit_code == exits, result.output or repr(result.exception)
    return result.stdout


async def from_a_toolbox(shop: Shop, *command: str) -> Result:
    """With what a cluster's toolbox is given: the servers, and no login. The folder must hold no stack."""
    access = Access.of_stack(shop.stack.directory)
    environment = {
        "STACK_DIR": None,
        "COLUMNS": "160",
        "MONGODB_URL": access.mongodb_url,
        "AMQP_URL": access.amqp_url,
        "MANAGEMENT_URL": access.management_url,
    }
    return await called(*command, environment=environment)


async def told(shop: Shop, *command: str, exits: int = 0) -> Json:
    """What it tells as JSON."""
    result = await sagactl(shop, *command, "-o", "json")
    assert result.exit_code == exits, result.output or repr(result.exception)
    return document(result.stdout)
