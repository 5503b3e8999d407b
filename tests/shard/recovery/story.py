"""A recovery told event by event, with the time between them."""

from outgrow.shard.recovery.actions import Start
from outgrow.shard.recovery.events import Failed, Gone, Ready, Sent, Sign, Tick
from outgrow.shard.recovery.limits import RecoveryLimits
from outgrow.shard.recovery.recovery_state import Phase, RecoveryState


class Story:
    """A machine and its time; every event is followed by a check of its invariants."""

    def __init__(self, world_size=2, **limits):
        self.state = RecoveryState(world_size, RecoveryLimits(**limits))
        self.at = 100.0
        self.seq = -1
        assert self.state.start(self.at) == [Start(gang=1)]

    @property
    def gang(self):
        return self.state.gang

    def tell(self, event):
        actions = self.state.handle(event, self.at)
        self.state.check()
        return actions

    def of(self, kind, rank, **fields):
        return self.tell(kind(gang=self.gang, rank=rank, **fields))

    def ready(self):
        actions = []
        for rank in range(self.state.world_size):
            assert not actions
            actions = self.of(Ready, rank)
        return actions

    def sent(self, nbytes=100, ends_step=False):
        self.seq += 1
        return self.tell(Sent(seq=self.seq, nbytes=nbytes, ends_step=ends_step))

    def done(self, seq, started=None):
        """All ranks are done with `seq`."""
        actions = []
        for rank in range(self.state.world_size):
            actions += self.of(Sign, rank, started=seq if started is None else started, finished=seq)
        return actions

    def wait(self, seconds, silent=()):
        """Ticks, with signs of life of all ranks but the silent ones."""
        actions = []
        for _ in range(round(seconds * 10)):
            self.at += 0.1
            for rank, one in enumerate(self.state._ranks):
                if rank not in silent and one.is_ready:
                    actions += self.of(Sign, rank, started=one.started, finished=one.finished)
            actions += self.tell(Tick())
        return actions

    def running(self):
        self.ready()
        assert self.state.phase is Phase.RUNNING
        return self


def gone(story, rank, **fields):
    return story.of(Gone, rank, how="was killed by SIGKILL", **fields)


def failed(story, rank, seq, step=3, count=1):
    return story.of(Failed, rank, count=count, seq=seq, step=step, text=f"failure of rank {rank}")
