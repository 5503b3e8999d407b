"""What stands in the list of tensors on the page."""

ROW = "[data-testid=tensor-row]"


def shown(page):
    """Names in the order in which they stand on the page."""
    return page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=tensor-row]')]
            .sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top)
            .map((row) => row.dataset.name)"""
    )


def lines(page):
    """Rows and headers, from the top."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.list-lines > *')]
            .sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top)
            .map((line) => line.dataset.name ?? '# ' + line.querySelector('.group-name').textContent)"""
    )


def row(page, name):
    return page.locator(f'{ROW}[data-name="{name}"]')


def active(page):
    """The line where the keyboard is."""
    return page.evaluate(
        """() => {
            const id = document.querySelector('.scroller').getAttribute('aria-activedescendant');
            const line = id && document.getElementById(id);
            return line ? line.dataset.name ?? line.dataset.group : null;
        }"""
    )
