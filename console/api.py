"""All routes. Whatever may be asked by a link changes nothing."""

from fastapi import APIRouter

from console import acts, login, pages

router = APIRouter(include_in_schema=False)
for each in (login.router, pages.router, acts.router):
    router.include_router(each)
