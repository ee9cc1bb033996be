"""`sagactl secrets`: a Secret that Kubernetes, the servers and the services take."""

from typing import Any

import yaml
from typer.testing import CliRunner

from dev.servers import redis_rights
from sagactl.cli import app
from sagactl.provision.passwords import REDIS_USERS
from services.auth.strength import check_password
from services.shared.sealing import Seals


def printed(*options: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["secrets", *options])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = yaml.safe_load(result.stdout)
    return found


def test_it_prints_one_secret_for_the_namespace_that_was_named() -> None:
    found = printed("--name", "mine", "--namespace", "market", "--admin-email", "Boss@shop.example")
    assert (found["apiVersion"], found["kind"]) == ("v1", "Secret")
    assert found["metadata"] == {"name": "mine", "namespace": "market"}
    assert found["stringData"]["ADMIN_EMAIL"] == "Boss@shop.example"
    assert printed()["metadata"] == {"name": "shop-passwords"}


def test_no_password_comes_twice_and_each_is_what_its_server_takes() -> None:
    first, second = printed()["stringData"], printed()["stringData"]
    secret = {key: value for key, value in first.items() if key != "ADMIN_EMAIL"}
    assert len(set(secret.values())) == len(secret)
    assert not set(secret.values()) & set(second.values())
    Seals.parse(secret.pop("SECRETS_KEY"))
    check_password(secret["ADMIN_PASSWORD"], first["ADMIN_EMAIL"])
    assert all(value.isalnum() for value in secret.values())
    assert min(map(len, secret.values())) >= 24
    assert len(secret["mongodb-keyfile"]) <= 1024


def test_it_knows_the_users_that_redis_has() -> None:
    assert set(REDIS_USERS) == set(redis_rights())


def test_an_address_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(app, ["secrets", "--admin-email", "boss"])
    assert result.exit_code == 2
    assert "e-mail" in result.output
