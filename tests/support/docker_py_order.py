"""A pytest plugin for docker-py's own suite: what prunes images comes last, for the rest counts on them."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "prune_images" in item.name)
