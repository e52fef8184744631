"""The browser that the tests in this folder drive."""

import os

import pytest

from .harness import CHROMIUM


@pytest.fixture
def playwright():
    """Playwright and a Chromium: skip where they are missing, fail where CI says they must be."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if CHROMIUM and sync_playwright:
        with sync_playwright() as running:
            yield running
    elif os.environ.get("CI") == "true":
        pytest.fail("no Chromium or no playwright here, and CI=true asks for the browser tests")
    else:
        pytest.skip("no Chromium or no playwright here")
