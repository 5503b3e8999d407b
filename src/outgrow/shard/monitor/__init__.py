"""Looking at workers from outside: what they do now, a trace of some seconds, a picture of a log."""

__all__ = ["Monitor", "chrome_trace", "draw_timeline", "open_monitor", "read_log", "worker_figures"]

from outgrow.shard.monitor.chrome_trace import chrome_trace
from outgrow.shard.monitor.figures import worker_figures
from outgrow.shard.monitor.instruction_log import read_log
from outgrow.shard.monitor.picture import draw_timeline
from outgrow.shard.monitor.watching import Monitor, open_monitor
