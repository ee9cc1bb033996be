"""The console in a real browser: read aloud, by keyboard, without JavaScript, on a small screen."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.sync_api import Browser, Page

from tests.browser.conftest import JAEGER, PICTURES, Site
from tests.command_lines import understood

# WCAG 2.2, level AA, and what axe holds to be good beside it.
STANDARD: Final = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
# A page that says so itself: Chromium reports every answer that is an error.
# What is done there is done there alone; or there is nothing.
WITHOUT_COMMANDS: Final = {"jobs", "job", "nothing", "discard chosen", "nothing chosen"}
ANSWERED: Final = "Failed to load resource: the server responded with a status of"


@contextmanager
def signed_in(browser: Browser, site: Site, **more: Any) -> Iterator[Page]:
    """Ends with what the browser had to complain of: nothing."""
    context = site.context(browser, **more)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    site.sign_in(page)
    try:
        yield page
        assert [each for each in complaints if not each.startswith(ANSWERED)] == []
    finally:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_has_its_picture(chromium: Browser, site: Site, scheme: Any) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    found = {}
    # The policy would keep axe out, too: it is a script.
    with signed_in(chromium, site, color_scheme=scheme, bypass_csp=True) as page:
        for name, path in site.pages.items():
            page.goto(site.url + path)
            violations = Axe().run(page, options=STANDARD).response["violations"]
            found[name] = [
                (each["id"], [node["html"][:200] for node in each["nodes"]]) for each in violations
            ]
            page.screenshot(path=PICTURES / f"{name} {scheme}.png", full_page=True)
    assert {name: each for name, each in found.items() if each} == {}


def test_every_command_of_every_page_is_one_of_sagactls(chromium: Browser, site: Site) -> None:
    with signed_in(chromium, site) as page:
        for name, path in site.pages.items():
            page.goto(site.url + path)
            told = [field.input_value() for field in page.locator("input.command").all()]
            assert told or name in WITHOUT_COMMANDS, name
            for program, *arguments in map(shlex.split, told):
                if program == "sagactl":
                    understood(arguments)


def test_a_command_is_copied_by_keyboard_and_by_a_click(chromium: Browser, site: Site) -> None:
    with signed_in(chromium, site) as page:
        page.goto(f"{site.url}/orders/{site.waiting}")
        command, search = page.locator(".terminal input").first, page.get_by_label("Find a complete id")
        wanted = f"sagactl explain {site.waiting}"
        command.focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Control+C")
        search.focus()
        page.keyboard.press("Control+V")
        assert search.input_value() == wanted
        search.fill("")
        command.click()
        page.keyboard.press("Control+C")
        search.focus()
        page.keyboard.press("Control+V")
        assert search.input_value() == wanted


def test_the_login_is_accessible(chromium: Browser, site: Site) -> None:
    context = site.context(chromium, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{site.url}/orders?show=attention")
    assert Axe().run(page, options=STANDARD).response["violations"] == []
    page.get_by_label("E-mail address").fill("nobody@shop.example")
    page.get_by_label("Password").fill("wrong horse")
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("alert").inner_text() == "The e-mail address or the password is wrong."
    assert Axe().run(page, options=STANDARD).response["violations"] == []
    context.close()


@pytest.mark.parametrize("width", [390, 640])
def test_no_page_is_wider_than_a_small_screen(chromium: Browser, site: Site, width: int) -> None:
    """640 is a usual screen at 200 %."""
    with signed_in(chromium, site, viewport={"width": width, "height": 800}) as page:
        for name, path in site.pages.items():
            page.goto(site.url + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            page.screenshot(path=PICTURES / f"{name} {width}.png", full_page=True)


def test_no_script_runs_whoever_wrote_it(chromium: Browser, site: Site) -> None:
    context = site.context(chromium)
    page = context.new_page()
    site.sign_in(page)
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = true'>");
        }"""
    )
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.ran") is None
    assert page.evaluate("document.scripts.length") == 1
    context.close()


def test_it_is_used_by_keyboard_alone(chromium: Browser, site: Site) -> None:
    context = site.context(chromium)
    page = context.new_page()
    page.goto(f"{site.url}/orders")
    keyboard = page.keyboard

    def press_until(words: str, key: str = "Tab") -> None:
        for _ in range(80):
            keyboard.press(key)
            focused = page.evaluate("document.activeElement.innerText || document.activeElement.id")
            if focused.startswith(words):
                return
        raise AssertionError(f"{words} is not reached")

    press_until("email")
    keyboard.type(site.admin["email"])
    press_until("password")
    keyboard.type(site.admin["password"])
    keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/orders")
    press_until("Skip to the content")
    keyboard.press("Enter")
    press_until(site.waiting)
    # Where the focus is can be seen.
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/orders/{site.waiting}")
    press_until("Cancel")
    keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/orders/{site.waiting}/cancel")
    context.close()


def test_it_works_without_javascript_from_the_login_to_a_cancelled_order(
    chromium: Browser, site: Site
) -> None:
    with signed_in(chromium, site, java_script_enabled=False) as page:
        page.goto(f"{site.url}/orders/{site.waiting}")
        assert page.get_by_role("heading", name="What comes next").is_visible()
        page.get_by_role("link", name="Cancel …").click()
        page.get_by_role("button", name="Cancel the order").click()
        page.wait_for_url(f"{site.url}/orders/{site.waiting}?done=cancel")
        assert page.get_by_role("status").first.inner_text() == "It was cancelled."
        # Going back and on again asks for nothing a second time.
        page.go_back()
        page.go_forward()
        assert page.get_by_text("CANCELLED").first.is_visible()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{site.url}/login")
        page.goto(f"{site.url}/orders")
        assert page.get_by_role("button", name="Sign in").is_visible()


def test_letters_are_chosen_and_discarded_and_restored_without_javascript_by_keyboard(
    chromium: Browser, site: Site
) -> None:
    with signed_in(chromium, site, java_script_enabled=False) as page:
        page.goto(f"{site.url}/letters")
        choose_and_move(page, site, "Discard", "discarded")
        assert page.get_by_text("odd-3").is_visible()
        assert not page.get_by_text("odd-1").is_visible()
        page.get_by_role("link", name="Discarded letters").click()
        choose_and_move(page, site, "Restore", "restored")
        assert page.get_by_text("odd-1").is_visible()


def choose_and_move(page: Page, site: Site, verb: str, done: str) -> None:
    """From the list of letters that is open to that of the dead ones."""
    # Nothing chosen is not everything.
    page.get_by_role("button", name=f"{verb} selected").click()
    assert page.get_by_text("No letter is selected").is_visible()
    page.go_back()
    for id_ in ("odd-1", "odd-2"):
        page.get_by_role("checkbox", name=f"Select {id_}").focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name=f"{verb} selected").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name=f"{verb} 2 letters of orders").wait_for()
    page.get_by_label("Why, for the record").fill("they are of another system")
    page.get_by_role("button", name=f"{verb} them").click()
    page.wait_for_url(f"{site.url}/jobs/*")
    assert page.get_by_text(f"2 {done}").first.is_visible()
    page.goto(f"{site.url}/letters")


def test_all_orders_that_are_alike_are_refunded_without_javascript_by_keyboard(
    chromium: Browser, site: Site
) -> None:
    with signed_in(chromium, site, java_script_enabled=False) as page:
        page.goto(f"{site.url}/orders?status=PAID")
        page.get_by_label("placed since").fill("24h")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Refund …").focus()
        page.keyboard.press("Enter")
        heading = page.get_by_role("heading", level=1).inner_text()
        number = heading.split()[1]
        assert int(number) > 0
        page.get_by_label("Why, for the record").fill("they were sold twice")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{site.url}/jobs/*")
        while not page.get_by_text(f"{number} done").first.is_visible():
            page.reload()
        page.go_back()
        page.go_forward()
        assert page.get_by_text("Job: refund orders").is_visible()


def test_the_trace_of_an_order_is_a_link_to_jaeger(chromium: Browser, site: Site) -> None:
    with signed_in(chromium, site) as page:
        page.goto(site.url + site.pages["order paid"])
        link = page.locator("dl.facts a").first
        assert str(link.get_attribute("href")).startswith(f"{JAEGER}/trace/")


def test_a_mail_that_did_not_arrive_is_sent_once_more(chromium: Browser, site: Site) -> None:
    before = len(list(site.mailbox.mails()))
    with signed_in(chromium, site, java_script_enabled=False) as page:
        page.goto(f"{site.url}{site.pages['resend']}")
        page.get_by_label("Why, for the record").fill("it went to spam")
        page.get_by_role("button", name="Send again").click()
        page.wait_for_url(f"{site.url}/mails?done=resend")
        assert page.get_by_role("status").first.inner_text() == "It is being sent again."
        while len(list(site.mailbox.mails())) == before:
            page.wait_for_timeout(100)
