"""What is loaded after the page is served may be asked for by several threads at once."""

import subprocess
import sys
import threading

import pytest

# Every module takes a moment to be found, so that the threads meet in the middle of packages, where Python
# itself gives half a module to one of them (without the lock two of three runs fail).
_PROGRAM = """
import sys, threading, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("outgrow"):
            time.sleep(0.003)

from outgrow.compare.web import loading
sys.meta_path.insert(0, Slow())
wrong = []

def ask(name):
    try:
        loading.load()
        __import__(name)
    except BaseException as err:
        wrong.append(repr(err))

names = ["outgrow.compare.web.opening", "outgrow.compare.web.places", "outgrow.compare.report"]
threads = [threading.Thread(target=ask, args=(name,)) for name in names]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit("; ".join(wrong) or 0)
"""


@pytest.mark.parametrize(
    ("module", "is_of_an_extra"),
    [("starlette", True), ("uvicorn", True), ("outgrow.compare.web.server", False)],
)
def test_only_a_missing_package_is_blamed_on_the_extra(module, is_of_an_extra):
    program = f"import sys\nsys.modules[{module!r}] = None\nimport outgrow.compare.web"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ")
    assert module in last
    assert ("pip install 'outgrow[web]'" in last) == is_of_an_extra


def test_one_thread_at_a_time_loads():
    """For certain, which the race below is not."""
    from outgrow.compare.web import loading

    loading.load()  # so that nothing but the lock can hold the next one up
    waiting = threading.Thread(target=loading.load, daemon=True)
    with loading._one_at_a_time:
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive()


def test_the_list_of_folders_is_not_made_before(monkeypatch):
    from outgrow.compare.web.api import places

    def load():
        raise ZeroDivisionError

    monkeypatch.setattr(places, "load", load)
    with pytest.raises(ZeroDivisionError):
        places._places(None)


def test_threads_that_need_parts_of_one_package_at_once_all_get_them():
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
