"""What a streamed model holds besides its modules, and gives back when it dies."""

__all__ = ["Resources"]

import os
import threading

from torch import Tensor

from outgrow.errors import OutgrowError
from outgrow.store.readers import Reader
from outgrow.stream.backends.backend import Backend
from outgrow.stream.loader import Loader
from outgrow.stream.loader_counts import LoaderCounts
from outgrow.stream.table import RowReader


class Resources:
    """Threads, memory and open files of one stream. Knows nothing of the model, so that it never keeps one
    alive."""

    def __init__(self, backend: Backend, reader: Reader) -> None:
        self.backend = backend
        self.reader = reader
        self.rows = RowReader()
        self.viewed: list[Tensor] = []
        """Parts of the window, in main memory, that somebody outside keeps views of."""
        self._process = os.getpid()
        self._loader: Loader | None = None
        self._past = LoaderCounts()
        self._past_misses = self._past_wasted = 0

    @property
    def loader(self) -> Loader:
        """The loader of the present plan."""
        if self._loader is None:
            raise OutgrowError(
                "this stream has no loader: it could not be opened, or was closed",
                hint="load the model again",
            )
        return self._loader

    @loader.setter
    def loader(self, loader: Loader) -> None:
        self._loader = loader

    @property
    def has_loader(self) -> bool:
        """Whether a plan was carried out yet."""
        return self._loader is not None

    def retire_loader(self) -> None:
        """Stop the present loader and remember what it did."""
        loader = self.loader
        loader.drain()
        loader.close()
        self._past = self._past.plus(loader.settled_counts())
        self._past_misses += loader.misses
        self._past_wasted += loader.wasted
        self._loader = None

    def counts(self) -> LoaderCounts:
        """What all loaders have done so far."""
        return self._past.plus(self._loader.settled_counts()) if self._loader is not None else self._past

    @property
    def misses(self) -> int:
        """Pieces that nobody had fetched when they were needed."""
        return self._past_misses + (self._loader.misses if self._loader is not None else 0)

    @property
    def wasted(self) -> int:
        """Pieces that were fetched and not used."""
        return self._past_wasted + (self._loader.wasted if self._loader is not None else 0)

    def keep_views(self) -> None:
        """Give parts of the window that somebody keeps views of memory of their own: the window is about to
        go."""
        for memory in self.viewed:
            # Within one storage, so that all views of it follow. They are not part of the budget any more.
            memory.untyped_storage().share_memory_()
        self.viewed = []

    def finalize(self) -> None:
        """`close` for when the model has died, which may be in any thread, even within one of the loader's
        own.

        The garbage collector runs wherever memory is asked for. An I/O thread cannot wait for itself, nor
        take a lock that it may hold already: there the rest is left to a thread of its own.
        """
        if self._loader is not None and self._loader.owns(threading.current_thread()):
            threading.Thread(target=self.close, name="outgrow-close", daemon=True).start()
        else:
            self.close()

    def close(self) -> None:
        """Stop threads, close files, free the window; may be called twice.

        In a process that was forked off it does nothing: whatever a thread of the first process held or used
        at that moment stays so for ever there.
        """
        if os.getpid() != self._process:
            return
        self.keep_views()
        if self._loader is not None:
            self._loader.close()
        self.backend.close()
        self.rows.close()
        self.reader.close()
