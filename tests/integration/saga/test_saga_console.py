"""The console over HTTP, beside the running shop: who is let in, what they see, and what they may do."""

import json
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlencode

import msgspec
import pytest
import pytest_asyncio
from msgspec import structs

from console import bulk, checks, letters, stuck
from console.checking import COLLECTION as CHECKS
from console.work import COLLECTION as JOBS
from console.work import HELD, Kept
from saga_operator.policy.policy import StaleOrder
from sagactl.oncall.discarded import COLLECTION as DISCARDED
from sagactl.oncall.discarded import DATABASE
from sagactl.oncall.jobs.job import Chosen, Job, Selector, Step, Verb
from sagactl.polling import until
from services.order.model import Status
from services.shared.contract.audit import Action, Actor, By, Kind
from services.shared.database.trail import COLLECTION, database_of
from services.shared.http.app import VERSION
from tests.integration.saga.house import PATIENCE
from tests.integration.saga.shop import Shop, new_id
from tests.integration.saga.staff import OURS, Somebody, at_the_console, with_role
from tests.unit.console.pages import Page

# A live check watches queues at work for half a minute.
CHECKED = 2 * PATIENCE
JOB = "01a218bf-7f4d-77c0-98de-9be3a58847cd"
PAGES = (
    "/",
    "/orders",
    "/orders?show=attention",
    "/stuck",
    stuck.SWEEP,
    "/queues",
    "/letters",
    "/jobs",
    "/checks",
    "/mails",
    "/mails?show=waiting",
    "/mails?show=never+sent",
    "/mails/preview",
)


@pytest_asyncio.fixture
async def somebody(shop: Shop) -> AsyncIterator[Somebody]:
    async with at_the_console(shop) as found:
        yield found


@pytest_asyncio.fixture
async def admin(shop: Shop, somebody: Somebody) -> Somebody:
    await somebody.sign_in(shop.stack.admin)
    return somebody


# --- in and out -------------------------------------------------------------------------------------------


async def test_who_is_not_signed_in_sees_nothing_and_comes_back_to_where_they_were_going(
    shop: Shop, somebody: Somebody
) -> None:
    for path in (*PAGES, "/orders/any", "/letter?queue=orders&id=x", "/find?q=x", "/orders/any/cancel"):
        assert "Sign in" in (await somebody.get(path)).text
    page = await somebody.get("/orders?show=attention")
    (there,) = [each["value"] for each in page.all_of("input") if each.get("name") == "next"]
    assert there == "/orders?show=attention"
    page = await somebody.post("/login", {**shop.stack.admin, "next": str(there)})
    assert any(
        each.get("aria-current") == "true" and "attention" in str(each["href"]) for each in page.all_of("a")
    )


async def test_a_wrong_password_is_refused_and_the_address_is_kept(shop: Shop, somebody: Somebody) -> None:
    page = await somebody.sign_in({"email": shop.stack.admin["email"], "password": "wrong horse"}, 401)
    assert "The e-mail address or the password is wrong." in page.text
    assert shop.stack.admin["email"] in page.html
    assert "wrong horse" not in page.html


async def test_a_customer_is_told_whom_it_is_for(shop: Shop, somebody: Somebody) -> None:
    page = await somebody.sign_in(await with_role(shop, ""), 401)
    assert "This is for the role admin or support or viewer" in page.text
    assert "Sign in" in (await somebody.get("/")).text


async def test_who_signs_out_is_out_also_by_the_cookie_that_somebody_kept(admin: Somebody) -> None:
    (cookie,) = [each for each in admin.http.cookies.jar if each.name == "console"]
    await admin.post("/logout", {})
    admin.http.cookies.set("console", str(cookie.value))
    assert "Sign in" in (await admin.get("/")).text


async def test_the_cookie_is_for_this_host_over_tls_and_for_no_script(shop: Shop) -> None:
    async with at_the_console(shop, insecure_cookie=False) as somebody:
        answer = await somebody.answer_to("/login", shop.stack.admin)
        words = {word.strip().lower() for word in answer.headers["set-cookie"].split(";")[1:]}
        assert answer.headers["set-cookie"].startswith("__Host-console=")
        assert words >= {"secure", "httponly", "samesite=strict", "path=/"}
        assert not any(word.startswith("domain") for word in words)


async def test_a_link_on_another_site_leads_to_a_page_that_goes_on(admin: Somebody) -> None:
    admin.http.cookies.clear()  # as a browser leaves it out
    page = await admin.get("/orders?show=attention", headers={"sec-fetch-site": "cross-site"})
    assert "/orders?show=attention" in page.links


@pytest.mark.parametrize("next_", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_the_login_leads_to_no_other_site(shop: Shop, somebody: Somebody, next_: str) -> None:
    answer = await somebody.answer_to("/login", {**shop.stack.admin, "next": next_})
    assert answer.headers["location"] == "/"


# --- forms ------------------------------------------------------------------------------------------------


async def test_a_form_that_is_not_of_this_session_does_nothing(shop: Shop, admin: Somebody) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("payment"):
        order_id = await shop.place({lamp: 1})
        await shop.is_at(order_id, "CONFIRMED")
        path, form = f"/orders/{order_id}/cancel", {"reason": "because"}
        page = await admin.get(path)
        for headers, token in (
            (OURS, ""),
            (OURS, "another"),
            ({}, admin.csrf),
            ({"sec-fetch-site": "cross-site"}, admin.csrf),
            ({"sec-fetch-site": "none"}, admin.csrf),
            ({"sec-fetch-site": "same-site", "origin": "http://service"}, admin.csrf),
        ):
            answer = await admin.answer_to(path, {**form, "csrf": token}, headers)
            assert answer.status_code == 403, (headers, token)
            assert "nothing was done" in answer.text
        assert (await shop.order(order_id))["status"] == "CONFIRMED"
        assert page.all_of("form")
    await shop.settles(order_id, "PAID")


async def test_what_is_no_form_is_refused(admin: Somebody) -> None:
    answer = await admin.http.post("/theme", json={"csrf": admin.csrf})
    assert answer.status_code == 415


# --- pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["viewer", "support", "admin"])
async def test_every_role_of_the_shops_sees_every_page(shop: Shop, somebody: Somebody, role: str) -> None:
    await somebody.sign_in(shop.stack.admin if role == "admin" else await with_role(shop, role))
    for path in PAGES:
        assert "Some data could not be read" not in (await somebody.get(path)).text


async def test_an_order_is_found_explained_and_drawn(shop: Shop, admin: Somebody) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 1})
    await shop.settles(order_id, "PAID")
    await shop.all_heard_of_the_end(order_id)
    page = await admin.get(f"/find?q={order_id}")
    assert "SETTLED the order is PAID, and no message is missed" in page.text
    assert len(page.all_of("circle")) == 7
    assert "told ORDER_PAID" in page.text


async def test_an_order_is_explained_as_json_to_who_is_signed_in(shop: Shop, admin: Somebody) -> None:
    order_id = await shop.place({await shop.product(stock=5): 1})
    await shop.settles(order_id, "PAID")
    answer = await admin.http.get(f"/orders/{order_id}/explain.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.json()["kind"], answer.json()["order"]) == ("Explanation", order_id)
    assert f"/orders/{order_id}/explain.json" in (await admin.get(f"/orders/{order_id}")).links
    assert (await admin.http.get(f"/orders/{new_id()}/explain.json")).status_code == 404


async def test_an_order_that_nobody_knows_is_no_page_that_exists(admin: Somebody) -> None:
    assert "no service knows it" in (await admin.get("/orders/nobodys", 404)).text
    assert "No result for" in (await admin.get("/find?q=nobodys")).text
    assert "There is no such page." in (await admin.get("/nothing/here/at/all", 404)).text


async def test_a_queue_with_a_dead_letter_says_since_when(shop: Shop, admin: Somebody) -> None:
    id_ = await dead_letter_of(shop, admin)

    async def is_counted() -> bool:
        return "/letters?queue=orders" in (await admin.get("/queues")).links

    await until(is_counted, within=PATIENCE, what="the dead letter among the queues")
    await shop.dead_letter("orders", id_)


async def test_a_queue_says_how_fast_messages_came_and_went(shop: Shop, admin: Somebody) -> None:
    lamp = await shop.product(stock=5)
    await shop.settles(await shop.place({lamp: 1}), "PAID")

    async def are_counted() -> bool:
        text = (await admin.get("/queues")).text
        return bool(re.search(r"orders order .*? \d\.\d in, \d\.\d out; at most (?!0\.0)\d\.\d ", text))

    await until(are_counted, within=PATIENCE, what="rates of the queue orders")
    assert "not noted" not in (await admin.get("/queues")).text


async def test_what_a_customer_was_told_is_listed(shop: Shop, admin: Somebody) -> None:
    order_id = await shop.place({await shop.product(stock=5): 1})
    await shop.settles(order_id, "PAID")

    async def is_listed() -> bool:
        return f"/orders/{order_id}" in (await admin.get("/mails")).links

    await until(is_listed, within=PATIENCE, what="the mail on its page")


async def told_of(shop: Shop, order_id: str) -> str:
    """The id of the notification that it is paid, once there is one."""
    notifications = shop.database("notification")["notifications"]

    async def look() -> str:
        return str((await notifications.find_one({"orderId": order_id}) or {}).get("_id", ""))

    return await until(look, within=PATIENCE, what="the notification")


async def test_in_a_shop_that_sends_no_mail_none_is_sent_once_more_and_the_trail_says_who_asked(
    shop: Shop, somebody: Somebody
) -> None:
    """In one that does: tests/browser."""
    await somebody.sign_in(await with_role(shop, "support"))
    order_id = await shop.place({await shop.product(stock=5): 1})
    await shop.settles(order_id, "PAID")
    mail = await told_of(shop, order_id)
    path = f"/mails/{mail}/resend"
    assert path in (await somebody.get("/mails")).links
    page = await somebody.get(path)
    assert page.commands == [f"sagactl mails resend {mail} --reason ''"]
    form = hidden_of(page)
    assert "A reason has 3 to" in (await somebody.post(path, {**form, "reason": "no"}, 409)).text
    page = await somebody.post(path, {**form, "csrf": somebody.csrf, "reason": "it went to spam"}, 409)
    assert "This shop sends no mail: it has no SMTP_URL." in page.text
    wanted = {"action": Action.MAIL_RESENT, "subject": order_id}
    (asked,) = await shop.database(database_of("console"))[COLLECTION].find(wanted).to_list()
    assert (asked["outcome"], asked["reason"]) == ("asked", "it went to spam")


async def test_who_may_not_send_a_mail_once_more_cannot_by_a_form_of_their_own(
    shop: Shop, somebody: Somebody
) -> None:
    order_id = await shop.place({await shop.product(stock=5): 1})
    await shop.settles(order_id, "PAID")
    mail = await told_of(shop, order_id)
    await somebody.sign_in(await with_role(shop, "viewer"))
    assert "Send again: this is for the role admin or support." in (await somebody.get("/mails")).text
    form = {"key": JOB, "reason": "it went to spam"}
    page = await somebody.post(f"/mails/{mail}/resend", form)
    assert "This cannot be done: this is for the role admin or support." in page.text
    await somebody.get(f"/mails/{new_id()}/resend", 404)


async def test_an_example_of_a_mail_is_shown_alone_and_shut_in(admin: Somebody) -> None:
    page = await admin.get("/mails/preview?kind=paid")
    (link,) = [each for each in page.links if each.startswith("/mails/example")]
    answer = await admin.http.get(link)
    policy = answer.headers["content-security-policy"].split("; ")
    assert "<html" in answer.text
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'"} <= set(policy)
    assert not any(each.startswith("script-src") for each in policy)
    await admin.get("/mails/preview?kind=nothing", 404)


async def test_a_dead_letter_is_shown_without_what_is_secret(shop: Shop, admin: Somebody) -> None:
    id_ = await dead_letter_of(shop, admin)
    page = await admin.get(f"/letter?queue=orders&id={id_}")
    assert "invalid" in page.text
    assert '"paymentToken": "***"' in page.text
    await shop.dead_letter("orders", id_)


# --- to act -----------------------------------------------------------------------------------------------


async def test_an_order_is_cancelled_by_the_person_and_the_trail_says_so(shop: Shop, admin: Somebody) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("payment"):
        order_id = await shop.place({lamp: 1})
        await shop.is_at(order_id, "CONFIRMED")
        page = await admin.get(f"/orders/{order_id}/cancel")
        assert "CONFIRMED -> CANCELLED" in page.text
        page = await admin.post(f"/orders/{order_id}/cancel", {})
        assert "It was cancelled." in page.text
        # A second time is one.
        await admin.post(f"/orders/{order_id}/cancel", {})
    await shop.settles(order_id, "CANCELLED")

    async def is_on_the_trail() -> bool:
        wanted = {"subject": order_id, "action": Action.ORDER_CANCELLED, "actor.roles": "admin"}
        return await shop.database(database_of("order"))[COLLECTION].count_documents(wanted) == 1

    await until(is_on_the_trail, within=PATIENCE, what="the cancellation on the trail")


async def test_an_order_that_is_stuck_is_found_and_compensated(shop: Shop, admin: Somebody) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("payment"):
        order_id = await shop.place({lamp: 1})
        await shop.is_at(order_id, "CONFIRMED")
        long_ago = {"$set": {"stateSince": datetime.now(UTC) - timedelta(days=1)}}
        await shop.database("order")["orders"].update_one({"_id": order_id}, long_ago)
        page = await admin.get("/stuck")
        assert "CONFIRMED 1 d ago" in page.text
        assert "compensates it" in page.text
        path = f"/orders/{order_id}/compensate"
        assert path in page.links
        form = hidden_of(await admin.get(path))
        page = await admin.post(path, {**form, "reason": "it waits since yesterday"})
        assert "It was compensated." in page.text
        assert path not in (await admin.get("/stuck")).links
    await shop.settles(order_id, "CANCELLED")


async def test_stuck_orders_are_swept_by_who_may_with_a_reason_and_each_once(
    shop: Shop, admin: Somebody
) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("payment"):
        ids = [await shop.place({lamp: 1}) for _ in range(2)]
        for order_id in ids:
            await shop.is_at(order_id, "CONFIRMED")
            long_ago = {"$set": {"stateSince": datetime.now(UTC) - timedelta(days=1)}}
            await shop.database("order")["orders"].update_one({"_id": order_id}, long_ago)
        assert stuck.SWEEP in (await admin.get("/stuck")).links
        plan = await admin.get(stuck.SWEEP)
        assert {f"/orders/{order_id}" for order_id in ids} <= set(plan.links)
        form = hidden_of(plan)
        assert "A reason has 3 to 200 characters." in (await admin.post(stuck.SWEEP, form, 409)).text
        other = form | {"expected": "others", "reason": "since yesterday"}
        assert "They have changed in the meantime" in (await admin.post(stuck.SWEEP, other, 409)).text
        for headers, token in ((OURS, "another"), ({}, admin.csrf)):
            answer = await admin.answer_to(stuck.SWEEP, form | {"reason": "why", "csrf": token}, headers)
            assert answer.status_code == 403
        for order_id in ids:
            assert (await shop.order(order_id))["status"] == "CONFIRMED"
        page = await admin.post(stuck.SWEEP, form | {"reason": "since yesterday"})
        assert "They were swept" in page.text
        again = await admin.post(stuck.SWEEP, form | {"reason": "since yesterday"}, 409)
        assert "They have changed in the meantime" in again.text
    for order_id in ids:
        await shop.settles(order_id, "CANCELLED")

    async def are_on_the_trail() -> bool:
        wanted = {
            "subject": {"$in": ids},
            "action": Action.ORDER_COMPENSATED,
            "actor.roles": "admin",
            "reason": "since yesterday",
        }
        return await shop.database(database_of("order"))[COLLECTION].count_documents(wanted) == len(ids)

    await until(are_on_the_trail, within=PATIENCE, what="both orders on the trail")


async def test_who_may_not_sweep_cannot_by_a_form_of_their_own(shop: Shop, somebody: Somebody) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("payment"):
        order_id = await shop.place({lamp: 1})
        await shop.is_at(order_id, "CONFIRMED")
        long_ago = {"$set": {"stateSince": datetime.now(UTC) - timedelta(days=1)}}
        await shop.database("order")["orders"].update_one({"_id": order_id}, long_ago)
        await somebody.sign_in(await with_role(shop, "support"))
        assert "This cannot be done: this is for the role admin." in (await somebody.get(stuck.SWEEP)).text
        expected = stuck.digest([StaleOrder(order_id, "CONFIRMED", datetime.now(UTC))])
        page = await somebody.post(stuck.SWEEP, {"reason": "since yesterday", "expected": expected})
        assert "This cannot be done" in page.text
        assert (await shop.order(order_id))["status"] == "CONFIRMED"
    await shop.settles(order_id, "PAID")


async def test_a_product_is_restocked_once_by_who_may_and_the_trail_says_why(
    shop: Shop, admin: Somebody
) -> None:
    lamp = await shop.product(stock=5)
    plan = f"/products/{lamp}/restock"
    page = await admin.get(f"{plan}?pieces=12")
    assert "12 pieces more: 5 -> 17 available" in page.text
    assert page.commands == [f"sagactl stock restock {lamp} 12 --reason ''"]
    form = hidden_of(page)
    page = await admin.post(plan, {**form, "reason": "no"}, 409)
    assert "A reason has 3 to 200 characters." in page.text
    for wrong in ("0", "1000001", "-1", "many", "9" * 5000):
        await admin.post(plan, {**form, "pieces": wrong, "reason": "a delivery"}, 403)
    form |= {"csrf": admin.csrf}
    for _ in range(2):
        page = await admin.post(plan, {**form, "reason": "a delivery"})
        assert "It was restocked." in page.text
    assert await (await shop.client("admin")).stock(lamp) == (17, 0, 0)
    trail = shop.database(database_of("console"))[COLLECTION]
    asked = await trail.find({"action": Action.RESTOCKED, "subject": lamp}).sort("at").to_list()
    assert [(each["outcome"], each["reason"], each["detail"]) for each in asked] == [
        ("asked", "a delivery", "12 pieces more"),
        ("asked", "a delivery", "12 pieces more"),
    ]


async def test_who_may_not_restock_cannot_by_a_form_of_their_own(shop: Shop, somebody: Somebody) -> None:
    lamp = await shop.product(stock=5)
    await somebody.sign_in(await with_role(shop, "support"))
    page = await somebody.get(f"/products/{lamp}")
    assert "Restock: this is for the role admin." in page.text
    page = await somebody.get(f"/products/{lamp}/restock?pieces=1")
    assert "This cannot be done: this is for the role admin." in page.text
    form = {"pieces": "1", "reason": "a delivery", "key": JOB}
    assert "This cannot be done" in (await somebody.post(f"/products/{lamp}/restock", form)).text
    assert await (await shop.client("admin")).stock(lamp) == (5, 0, 0)


async def test_what_is_not_sold_any_more_is_not_restocked(shop: Shop, admin: Somebody) -> None:
    assert (await admin.get(f"/products/{new_id()}/restock?pieces=1", 404)).text
    lamp = await shop.product(stock=5)
    await (await shop.client("admin")).remove_product(lamp)
    await is_said(admin, f"/products/{lamp}/restock?pieces=1", "This cannot be done: ")
    assert "It is no longer sold." in (await admin.get(f"/products/{lamp}")).text


async def test_what_the_table_forbids_is_said_in_its_own_words(shop: Shop, admin: Somebody) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 1})
    await shop.settles(order_id, "PAID")
    assert "This cannot be done: the order is paid" in (await admin.get(f"/orders/{order_id}/cancel")).text
    page = await admin.post(f"/orders/{order_id}/cancel", {}, 409)
    assert "The order is paid: ask for a refund instead" in page.text


async def test_a_role_that_may_not_is_refused_by_the_service_as_well(shop: Shop, somebody: Somebody) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 1})
    await shop.settles(order_id, "PAID")
    await somebody.sign_in(await with_role(shop, "viewer"))
    assert "this is for the role admin" in (await somebody.get(f"/orders/{order_id}/refund")).text
    form = {"reason": "because", "key": "key-1", "status": "PAID"}
    page = await somebody.post(f"/orders/{order_id}/refund", form, 409)
    assert "This is for the role admin." in page.text
    assert (await shop.order(order_id))["status"] == "PAID"


async def test_posting_a_refund_twice_is_one(shop: Shop, admin: Somebody) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 1})
    await shop.settles(order_id, "PAID")
    page = await admin.get(f"/orders/{order_id}/refund")
    (key,) = [str(each["value"]) for each in page.all_of("input") if each.get("name") == "key"]
    form = {"reason": "it broke", "key": key, "status": "PAID"}
    for _ in range(2):
        assert "Its refund was requested." in (await admin.post(f"/orders/{order_id}/refund", form)).text
    await shop.settles(order_id, "REFUNDED")
    assert (await shop.ledger(order_id))["refunded"] <= 1


def hidden_of(page: Page) -> dict[str, str]:
    """What its form sends without being asked."""
    hidden = [each for each in page.all_of("input") if each.get("type") == "hidden"]
    return {str(each["name"]): str(each["value"]) for each in hidden}


async def dead_letter_of(shop: Shop, admin: Somebody) -> str:
    """The id of a letter that nobody can read, once the page lists it."""
    mark = new_id()
    content = json.dumps({"type": mark, "data": {"paymentToken": "secret"}})
    await shop.publish("orders", content.encode(), message_id=mark)

    async def is_listed() -> bool:
        return mark in (await admin.get("/letters?queue=orders")).html

    await until(is_listed, within=PATIENCE, what="the letter on the page")
    return mark


async def test_a_letter_is_discarded_with_a_reason_that_the_trail_has(shop: Shop, admin: Somebody) -> None:
    id_ = await dead_letter_of(shop, admin)
    path = f"/letters/discard?queue=orders&id={id_}"
    page = await admin.get(path)
    form = hidden_of(page)
    short = await admin.post(path, {**form, "reason": "x"}, 409)
    assert "A reason has 3 to 200 characters." in short.text
    form |= {"csrf": admin.csrf, "reason": "of another system"}
    page = await admin.post(path, form)
    assert "Job: discard dead letters" in page.text
    await is_said(admin, f"/jobs/{form['key']}", "1 discarded")
    await is_gone(admin, id_)
    # Sent once more it leads to the same job.
    assert "1 discarded" in (await admin.post(path, form)).text
    wanted = {"action": Action.LETTER_DELETED, "reason": "of another system", "actor.roles": "admin"}
    assert await shop.database(database_of("console"))[COLLECTION].count_documents(wanted) == 1
    (kept,) = await shop.database(DATABASE)[DISCARDED].find({"message": id_}).to_list()
    assert (kept["reason"], kept["by"]["roles"]) == ("of another system", ["admin"])


async def test_those_letters_are_discarded_that_were_chosen_and_no_others(
    shop: Shop, admin: Somebody
) -> None:
    first, second, third = [await dead_letter_of(shop, admin) for _ in range(3)]
    path = f"/letters/discard?queue=orders&id=&id={first}&id={third}"
    plan = await admin.get(path)
    assert "Discard 2 letters of orders" in plan.text
    assert second not in plan.html
    (action,) = [str(each["action"]) for each in plan.all_of("form") if each.get("class") == "act"]
    form = hidden_of(plan) | {"csrf": admin.csrf, "reason": "of another system"}
    # What the plan has shown counts, and no other choice.
    other = f"/letters/discard?queue=orders&id={second}"
    assert "They have changed in the meantime" in (await admin.post(other, form, 409)).text
    await admin.post(action, form)
    await is_said(admin, f"/jobs/{form['key']}", "2 discarded")
    await is_gone(admin, first)
    await is_gone(admin, third)
    assert second in (await admin.get("/letters?queue=orders")).html
    assert "No letter is selected" in (await admin.get("/letters/discard?queue=orders&id=")).text
    many = "&".join(f"id={number}" for number in range(letters.CHOSEN_AT_MOST + 1))
    assert "At most 200" in (await admin.get(f"/letters/discard?queue=orders&{many}", 422)).text
    await shop.dead_letter("orders", second)


async def test_discarded_letters_are_listed_and_restored_and_twice_is_as_once(
    shop: Shop, admin: Somebody
) -> None:
    first, second = [await dead_letter_of(shop, admin) for _ in range(2)]
    chosen = f"queue=orders&id=&id={first}&id={second}"
    await act_on(admin, f"/letters/discard?{chosen}", "2 discarded")
    listed = await admin.get("/letters/discarded?queue=orders")
    assert "of another system" in listed.text
    assert {first, second} <= {str(each.get("value")) for each in listed.all_of("input")}
    path = f"/letters/restore?{chosen}"
    assert "Restore 2 letters of orders" in (await admin.get(path)).text
    page = await act_on(admin, path, "2 restored")
    assert "Job: restore discarded letters" in page.text
    wanted = {"action": Action.LETTER_RESTORED, "reason": "of another system", "actor.roles": "admin"}
    assert await shop.database(database_of("console"))[COLLECTION].count_documents(wanted) == 1
    assert "No letters match." in (await admin.get(path)).text
    assert first not in (await admin.get("/letters/discarded")).html
    await is_said(admin, "/letters?queue=orders", first)
    # As another replica does it, after one that was killed before it could note what it had done.
    again = job_of(Verb.RESTORE, first, datetime.now(UTC))
    await keep(shop, again)
    await is_said(admin, f"/jobs/{again.id}", "1 restored")
    for id_ in (first, second):
        await shop.dead_letter("orders", id_)
        await is_gone(admin, id_)


async def test_who_may_not_restore_cannot_by_a_form_of_their_own(shop: Shop, somebody: Somebody) -> None:
    await somebody.sign_in(await with_role(shop, "support"))
    assert "Restore 0 letters" in (await somebody.get("/letters/restore?queue=orders&id=x")).text
    form = {"expected": "", "reason": "because", "key": str(uuid.uuid4())}
    page = await somebody.post("/letters/restore?queue=orders&id=x", form)
    assert "this is for the role admin" in page.text


async def act_on(admin: Somebody, path: str, outcome: str) -> Page:
    """What its plan offers, carried out; the job's page once it says so."""
    plan = await admin.get(path)
    form = hidden_of(plan) | {"csrf": admin.csrf, "reason": "of another system"}
    (action,) = [str(each["action"]) for each in plan.all_of("form") if each.get("class") == "act"]
    await admin.post(action, form)
    await is_said(admin, f"/jobs/{form['key']}", outcome)
    return await admin.get(f"/jobs/{form['key']}")


async def test_a_list_of_orders_says_the_verdict_on_each(shop: Shop, admin: Somebody) -> None:
    order_id = await shop.place({await shop.product(stock=5): 1})
    await shop.settles(order_id, "PAID")
    await shop.all_heard_of_the_end(order_id)

    async def is_told() -> bool:
        text = (await admin.get("/orders")).text
        return f"{order_id} ✓ PAID ✓ settled" in text

    await until(is_told, within=PATIENCE, what="the order settled at first sight")


async def test_now_tells_which_services_are_there_and_how_long_orders_take(
    shop: Shop, admin: Somebody
) -> None:
    order_id = await shop.place({await shop.product(stock=5): 1})
    await shop.settles(order_id, "PAID")
    assert "Latest actions of users" in (await admin.get("/")).text
    # Of the last minute none counts: a slow one could not be seen yet.
    then = timedelta(minutes=2)
    order = await shop.database("order")["orders"].find_one({"_id": order_id})
    assert order is not None
    history = [{**step, "at": step["at"] - then} for step in order["history"]]
    aged = {"createdAt": order["createdAt"] - then, "history": history}
    await shop.database("order")["orders"].update_one({"_id": order_id}, {"$set": aged})
    async with shop.away("product"):

        async def is_told() -> bool:
            text = (await admin.get("/")).text
            is_counted = re.search(r"settled within \d+ m?s of the latest \d+", text)
            return "product ✖ does not answer" in text and is_counted is not None

        await until(is_told, within=PATIENCE, what="the product service away")
        text = (await admin.get("/")).text
        assert f"payment ✓ ready {VERSION}" in text
        assert "product does not answer" in text


async def is_said(admin: Somebody, path: str, words: str) -> None:
    """Returns once the page says so."""

    async def is_there() -> bool:
        return words in (await admin.get(path)).text

    await until(is_there, within=PATIENCE, what=f"{words} at {path}")


async def is_gone(admin: Somebody, id_: str) -> None:
    """Returns once the page lists the letter no more."""

    async def is_not_listed() -> bool:
        return id_ not in (await admin.get("/letters?queue=orders")).html

    await until(is_not_listed, within=PATIENCE, what=f"the letter {id_} to be gone")


async def test_redriven_letters_are_followed_to_what_becomes_of_them(shop: Shop, admin: Somebody) -> None:
    id_ = await dead_letter_of(shop, admin)
    page = await admin.get(f"/letters/redrive?queue=orders&id={id_}")
    form = hidden_of(page)
    sent = {**form, "csrf": admin.csrf, "reason": "to see it fail"}
    await admin.post(f"/letters/redrive?queue=orders&id={id_}", sent)
    path = f"/jobs/{form['key']}"
    await is_said(admin, path, "1 dead again")
    assert "invalid" in (await admin.get(path)).text
    assert path in (await admin.get("/jobs")).links
    wanted = {"action": Action.LETTERS_REDRIVEN, "subject": f"job {form['key']}", "actor.roles": "admin"}
    assert await shop.database(database_of("console"))[COLLECTION].count_documents(wanted) == 1
    assert path in (await admin.get("/trail?action=letters.redriven")).links
    await shop.dead_letter("orders", id_)


async def test_what_a_replica_left_that_was_killed_another_goes_on_with(shop: Shop, admin: Somebody) -> None:
    id_ = await dead_letter_of(shop, admin)
    began = datetime.now(UTC) - 2 * HELD
    left = job_of(Verb.DISCARD, id_, began)
    await keep(shop, structs.replace(left, held_at=began, holder="somebody who was killed"))
    await is_said(admin, f"/jobs/{left.id}", "1 discarded")
    await is_gone(admin, id_)


async def test_a_job_is_stopped_and_what_it_had_not_done_is_not_done(shop: Shop, admin: Somebody) -> None:
    id_ = await dead_letter_of(shop, admin)
    kept = job_of(Verb.DISCARD, id_, datetime.now(UTC) + timedelta(hours=1))
    await keep(shop, kept)
    path = f"/jobs/{kept.id}"
    assert "under way" in (await admin.get(path)).text
    await admin.post(f"{path}/stop", {})
    await is_said(admin, path, "stopped it")
    await is_said(admin, "/jobs", "stopped")
    page = await admin.get(path)
    assert "1 planned" in page.text
    assert "look again" not in page.text.split("Job: discard")[1].split("Letters")[0]
    assert id_ in (await admin.get("/letters?queue=orders")).html
    await shop.dead_letter("orders", id_)


def job_of(verb: Verb, letter_id: str, due: datetime) -> Kept:
    """A job of one letter, begun at a time that is past, if that is."""
    job = Job(
        id=new_id(),
        verb=verb,
        reason="because",
        begun_at=min(due, datetime.now(UTC)),
        selector=Selector(queues=("orders",)),
        steps=(Step(Chosen("orders", letter_id, "", "", "invalid", "")),),
    )
    return Kept(id=job.id, by=By(Actor("eve", Kind.USER), "192.0.2.1"), job=job, due=due)


async def keep(shop: Shop, kept: Kept) -> None:
    """As a console of the shop's keeps it."""
    await shop.database("console")[JOBS].insert_one(msgspec.to_builtins(kept, builtin_types=(datetime,)))


async def all_of(shop: Shop, *order_ids: str) -> str:
    """The filter of an address that is true of these, and of none that other tests have placed."""
    found = shop.database("order")["orders"].find({"_id": {"$in": [*order_ids]}})
    since = min([order["createdAt"] async for order in found])
    return urlencode({"since": since.isoformat()})


async def test_all_orders_that_are_alike_are_cancelled_once_by_who_may(shop: Shop, admin: Somebody) -> None:
    lamp = await shop.product(stock=5)
    async with shop.away("payment"):
        first, second = [await shop.place({lamp: 1}) for _ in range(2)]
        for order_id in (first, second):
            await shop.is_at(order_id, "CONFIRMED")
        path = f"/orders/all/cancel?status=CONFIRMED&{await all_of(shop, first, second)}"
        plan = await admin.get(path)
        assert "Cancel 2 orders" in plan.text
        assert {f"/orders/{first}", f"/orders/{second}"} <= {*plan.links}
        form = hidden_of(plan) | {"csrf": admin.csrf, "reason": "the lamp is broken"}
        # What the plan has shown counts, and no other choice.
        assert "They have changed in the meantime" in (await admin.post(f"{path}&until=24h", form, 409)).text
        assert "They have changed in the meantime" in (await admin.post("/orders/all/cancel", form, 409)).text
        assert "A reason has 3 to 200" in (await admin.post(path, {**form, "reason": "x"}, 409)).text
        for _ in range(2):
            page = await admin.post(path, form)
            assert "Job: cancel orders" in page.text
        await is_said(admin, f"/jobs/{form['key']}", "2 done")
    for order_id in (first, second):
        await shop.settles(order_id, "CANCELLED")
    wanted = {"action": Action.ORDER_CANCELLED, "subject": f"job {form['key']}", "detail": "orders: 2"}
    assert await shop.database(database_of("console"))[COLLECTION].count_documents(wanted) == 1
    assert f"/jobs/{form['key']}" in (await admin.get("/trail?action=order.cancelled")).links
    # Each by the person, on the order's own trail.
    by = {"action": Action.ORDER_CANCELLED, "subject": {"$in": [first, second]}, "actor.roles": "admin"}
    assert await shop.database(database_of("order"))[COLLECTION].count_documents(by) == 2


async def test_of_marked_orders_only_those_in_the_state_are_acted_on(shop: Shop, admin: Somebody) -> None:
    orders = shop.database("order")["orders"]
    async with shop.away("payment"):
        order_id = await shop.place({await shop.product(stock=5): 1})
        await shop.is_at(order_id, "CONFIRMED")
        mark = {"at": datetime.now(UTC), "event": "X", "eventId": new_id(), "reason": "odd"}
        await orders.update_one({"_id": order_id}, {"$set": {"attention": [mark]}})
        try:
            path = f"/orders/all/cancel?show=attention&{await all_of(shop, order_id)}"
            assert "Cancel 1 order" in (await admin.get(f"{path}&status=CONFIRMED")).text
            assert "Cancel 0 orders" in (await admin.get(f"{path}&status=PAID")).text
        finally:
            await orders.update_one({"_id": order_id}, {"$set": {"attention": []}})
    await shop.settles(order_id, "PAID")


async def test_a_job_with_orders_waits_for_the_login_of_somebody_who_may(shop: Shop, admin: Somebody) -> None:
    order_id = await shop.place({await shop.product(stock=5): 1})
    await shop.settles(order_id, "PAID")
    steps = (bulk.Step(order_id, Status.PAID),)
    now = datetime.now(UTC)
    job = bulk.OrderJob(id=new_id(), verb=bulk.Verb.REFUND, reason="because", begun_at=now, steps=steps)
    # Of a replica that was killed, and had the login.
    await keep(shop, Kept(id=job.id, by=By(Actor("eve", Kind.USER), "192.0.2.1"), job=job, due=now))
    path = f"/jobs/{job.id}"
    page = await admin.get(path)
    assert "1 planned" in page.text
    assert "It waits" in page.text
    await admin.post(f"{path}/go-on", {})
    await is_said(admin, path, "1 done")
    await shop.settles(order_id, "REFUNDED")


async def test_who_may_not_act_on_all_orders_cannot_by_a_form_of_their_own(
    shop: Shop, somebody: Somebody
) -> None:
    await somebody.sign_in(await with_role(shop, "viewer"))
    form = {"expected": "", "reason": "because", "key": str(uuid.uuid4())}
    for verb in bulk.Verb:
        page = await somebody.post(f"/orders/all/{verb}?status=PAID", form)
        assert "This cannot be done: this is for the role admin" in page.text


async def test_what_is_no_time_is_said_to_be_none(admin: Somebody) -> None:
    assert "soon is no time" in (await admin.get("/orders?since=soon", 422)).text


async def test_a_live_check_is_begun_and_its_findings_are_told(shop: Shop, admin: Somebody) -> None:
    page = await admin.post("/checks", {"within": "ever"})
    assert "under way" in page.text or "Result of the last check" in page.text
    await is_said(admin, "/checks", "Result of the last check")
    # One that was killed a while ago does not stand in the way, and what it found last is still told.
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    going = checks.Going(by="eve", begun_at=long_ago, held_at=long_ago, holder="killed", since=None)
    kept = {"$set": {"going": msgspec.to_builtins(going, builtin_types=(datetime,))}}
    await shop.database("console")[CHECKS].update_one({"_id": checks.ID}, kept)
    page = await admin.get("/checks")
    assert "was interrupted: start another" in page.text
    assert "Result of the last check" in page.text
    await admin.post("/checks", {"within": "in the last 24 hours"})

    async def is_over() -> bool:
        return "under way" not in (await admin.get("/checks")).text

    await until(is_over, within=CHECKED, what="the check over")
    assert "was interrupted" not in (await admin.get("/checks")).text


async def test_only_who_may_begins_a_check(shop: Shop, somebody: Somebody) -> None:
    await somebody.sign_in(await with_role(shop, "viewer"))
    page = await somebody.post("/checks", {"within": "ever"})
    assert "Start a check: this is for the role admin." in page.text
    assert "under way" not in page.text


async def test_what_would_mend_an_order_is_told_and_nothing_is_done(shop: Shop, admin: Somebody) -> None:
    order_id = await shop.place({await shop.product(stock=5): 1})
    await shop.settles(order_id, "PAID")
    await shop.all_heard_of_the_end(order_id)

    async def told() -> str:
        return (await admin.get(f"/orders/{order_id}/repair")).text

    # As long as anything waits in a queue, it may be about this order.
    await until(told, lambda text: "sound" in text, within=PATIENCE, what="the order found sound")


async def test_a_plan_for_letters_that_are_others_by_now_does_nothing(shop: Shop, admin: Somebody) -> None:
    id_ = await dead_letter_of(shop, admin)
    form = {"expected": "another", "reason": "because", "key": JOB}
    page = await admin.post(f"/letters/discard?queue=orders&id={id_}", form, 409)
    assert "They have changed in the meantime: check the plan again." in page.text
    assert id_ in (await admin.get("/letters?queue=orders")).html
    # An open choice is none.
    assert "No letters match." in (await admin.get("/letters/discard")).text
    await shop.dead_letter("orders", id_)


async def test_who_may_not_redrive_cannot_by_a_form_of_their_own(shop: Shop, somebody: Somebody) -> None:
    await somebody.sign_in(shop.stack.admin)
    id_ = await dead_letter_of(shop, somebody)
    await somebody.post("/logout", {})
    await somebody.sign_in(await with_role(shop, "support"))
    page = await somebody.get(f"/letters/redrive?queue=orders&id={id_}")
    assert "This cannot be done: this is for the role admin." in page.text
    form = {"expected": digest_of("orders", id_), "reason": "because", "key": JOB}
    path = f"/letters/redrive?queue=orders&id={id_}"
    assert "This cannot be done" in (await somebody.post(path, form)).text
    await shop.dead_letter("orders", id_)


def digest_of(queue: str, id_: str) -> str:
    return sha256(f"{queue}/{id_}".encode()).hexdigest()


# --- what is away -----------------------------------------------------------------------------------------


async def test_with_the_order_service_away_its_orders_are_still_shown(shop: Shop, admin: Somebody) -> None:
    lamp = await shop.product(stock=5)
    order_id = await shop.place({lamp: 1})
    await shop.settles(order_id, "PAID")
    async with shop.away("order"):
        assert "PAID" in (await admin.get(f"/orders/{order_id}")).text
        page = await admin.post(
            f"/orders/{order_id}/refund", {"reason": "it broke", "key": "k", "status": "PAID"}, 409
        )
        assert "The order service does not answer: try again." in page.text
