"""Runs with a tensor for each kind of number, and what the page shows of them."""

import math

import torch
from playwright.sync_api import expect

HUGE = 2**53


def numbers():
    """Expected and actual: a tensor for each kind of number, and a planted one laid out otherwise."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    query = random(1, 3, 12, 16)
    turned = query.squeeze(0).permute(1, 0, 2).contiguous()
    turned[7, 2, 11] += 0.5
    turned[1, 0, 3] += 0.125
    special = random(6, 20)
    strange = special.clone()
    strange[2, 5], strange[4, 1], strange[5, 19] = math.nan, math.inf, -math.inf
    ids = torch.arange(24).reshape(4, 6) + HUGE
    twelve = random(2, 1, 2, 1, 3, 1, 2, 2, 1, 2, 1, 11)
    same = {
        "2_mask": random(9, 12) > 0,
        "3_complex": torch.randn(4, 12, dtype=torch.complex64, generator=generator),
        "4_fp8": random(4, 16).to(torch.float8_e4m3fn),
        "5_half": random(4, 16).bfloat16(),
        "6_scalar": torch.tensor(0.125),
        "6_single": torch.tensor([7]),
        "7_empty": torch.zeros(0, 5),
        "7_twelve": twelve,
        "8_long": torch.linspace(-1, 1, 5000),
    }
    expected = {"0_query": query, "1_special": special, "2_ids": ids, "9_apart": random(5, 7)} | same
    actual = {"0_query": turned, "1_special": strange, "2_ids": ids + 1, "9_apart": random(3, 11)} | same
    return expected | {"9_lone": random(12, 13)}, actual | {"9_other": random(3, 2)}


def settle(page):
    """Wait until what is shown is what was asked for."""
    expect(page.locator(".values[aria-busy=true], .tensor .reading")).to_have_count(0)


def cells(page, side="expected"):
    found = page.get_by_test_id(f"value-{side}")
    return [(one.get_attribute("data-index"), one.inner_text()) for one in found.all()]


def cell(page, side, index):
    return page.locator(f'[data-testid=value-{side}][data-index="{index}"]')


def first(page, index, side="expected"):
    """Wait until the numbers begin there."""
    expect(page.get_by_test_id(f"value-{side}").first).to_have_attribute("data-index", index)


def number(value):
    return repr(float(str(value.numpy())))
