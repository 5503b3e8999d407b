"""Pages whose every complaint is written down."""

import re


class Complaints:
    """What pages wrote to the console as an error, threw, or did not get; `allow` what a test provokes."""

    def __init__(self):
        self.found = []
        self._allowed = []

    def allow(self, *patterns):
        self._allowed += patterns

    def watch(self, page):
        page.on("console", lambda message: self._add(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self._add(f"thrown: {error}"))
        page.on("response", self._answered)
        page.on("requestfailed", self._failed)

    def check(self):
        wrong = [
            text for text in self.found if not any(re.search(allowed, text) for allowed in self._allowed)
        ]
        assert not wrong, "the page complained: " + "\n".join(wrong)

    def _add(self, text):
        self.found.append(text)

    def _answered(self, response):
        if response.status >= 400:
            self._add(f"{response.status} {response.request.method} {response.url}")

    def _failed(self, request):
        # Aborted: the page has given it up, or was left.
        if request.failure != "net::ERR_ABORTED":
            self._add(f"failed: {request.method} {request.url} {request.failure}")
