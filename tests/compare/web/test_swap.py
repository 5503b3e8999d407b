"""Exchanging the two sides of a tab."""

import torch

from tests.compare.web.served import served


def test_each_side_gets_what_the_other_had(tmp_path):
    ones = {"a": torch.ones(3)}
    with served(tmp_path, ones, {"a": torch.zeros(3)}) as tab:
        before = tab.get("/session").json()
        answer = tab.post("/sides/swap", {})
        assert answer.status_code == 200
        after = tab.get("/session").json()
        assert answer.json() == {"sides": after["sides"], "as": after["as"]}
        assert after["sides"]["expected"] == before["sides"]["actual"]
        assert after["sides"]["actual"] == before["sides"]["expected"]
        # What was compared stays until it is compared anew.
        assert tab.get("/verdict").json()["expected"].endswith("expected.safetensors")
        tab.post("/comparison", {})
        tab.wait()
        assert tab.get("/verdict").json()["expected"].endswith("actual.safetensors")


def test_it_needs_a_session(tmp_path):
    with served(tmp_path, {"a": torch.ones(3)}, {"a": torch.zeros(3)}) as tab:
        tab.headers = {}
        assert tab.post("/sides/swap", {}).status_code == 404
