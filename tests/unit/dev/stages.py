"""The images' stages in the Dockerfile."""

import re


def groups(dockerfile: str) -> dict[str, tuple[str, ...]]:
    """Image -> the groups of dependencies that are installed for it."""
    stages = re.findall(
        r"^FROM dependencies AS dependencies-(\w+)\n((?:RUN .*\n)*)", dockerfile, re.MULTILINE
    )
    return {image: tuple(re.findall(r"--group (\w+)", run)) for image, run in stages}
