"""Change a model for good, or not at all."""

__all__ = ["Transaction", "TransactionOver", "transaction"]

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Literal, Self

import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.transactions.finite import check_finite, check_weights_finite
from outgrow.evolve.transactions.fork import Fork, run_fork
from outgrow.evolve.transactions.moment import Moment, Training


class TransactionOver(InputError):
    """A transaction is used before it has begun or after it has ended."""


class Transaction:
    """What `transaction` gives: everything since its beginning is kept, or taken back."""

    def __init__(self, training: Training, on: torch.device | str | None) -> None:
        self._training = training
        self._on = on
        self._moment: Moment | None = None
        self._was: Literal["not begun", "open", "committed", "rolled back"] = "not begun"

    @property
    def state(self) -> str:
        """`not begun`, `open`, `committed` or `rolled back`."""
        return self._was

    @property
    def nbytes(self) -> int:
        """Bytes of the snapshot's copies; 0 when it is over."""
        return self._moment.nbytes if self._moment is not None else 0

    def __enter__(self) -> Self:
        if self._was != "not begun":
            raise TransactionOver(
                f"this transaction is {self._was}, and can be run once",
                hint="call evolve.transaction(...) again for another one",
            )
        self._moment = Moment(self._training, self._on)
        self._was = "open"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._was == "open":
            if error is None:
                self.commit()
            else:
                self.rollback()

    def commit(self) -> None:
        """Keep everything; the snapshot goes.

        Raises:
            TransactionOver: it has ended.
        """
        self._open("commit")
        self._was = "committed"
        self._moment = None

    def rollback(self) -> None:
        """Put everything back, bit for bit and in place; the snapshot goes.

        Raises:
            TransactionOver: it has ended.
        """
        self._open("rollback").put_back()
        self._was = "rolled back"
        self._moment = None

    def check(self, *values: Any) -> None:
        """See that numbers and tensors are finite; without any, that all the model's weights are.

        Raises:
            NotFinite: one is not. Where nobody catches it, the transaction is rolled back.
        """
        self._open("check")
        for value in values:
            check_finite(value, "a value")
        if not values:
            check_weights_finite(self._training.model)

    def fork(
        self,
        train_step: Callable[[Any], Any],
        batches: Iterable[Any],
        *,
        edit: Callable[[], Any] | None = None,
        measure: Callable[[], Any] | None = None,
    ) -> Fork:
        """Train for a moment, and put everything back as it was when this was called.

        Whatever goes wrong on the way (NaN, out of memory, an exception of `train_step`) is told in
        `Fork.failure`; everything is put back then, too. KeyboardInterrupt and SystemExit are raised, after
        that.

        Args:
            train_step: takes a batch, makes one step, gives the loss.
            batches: as many as there are steps; the same list for forks that are compared.
            edit: a change of the model, made before the first step; None for none.
            measure: called behind the last step, for example the loss on held-out data.

        Raises:
            TransactionOver: it has ended.
        """
        self._open("fork")
        moment = Moment(self._training, self._on)
        return run_fork(moment, train_step, batches, edit=edit, measure=measure)

    def _open(self, name: str) -> Moment:
        if self._moment is None:
            raise TransactionOver(
                f"{name}() on a transaction that is {self._was}",
                hint="use it inside its `with` block, and only until commit() or rollback()",
            )
        return self._moment


def transaction(
    model: nn.Module,
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    also: Iterable[Any] = (),
    on: torch.device | str | None = "cpu",
) -> Transaction:
    """Begin a transaction, to be used in `with`: whatever happens inside is kept, or taken back as a whole.

    It is rolled back by `change.rollback()`, and by itself when any exception leaves the block; else it is
    kept at the end of the block. A rollback puts back the model (weights, gradients, buffers, modes, modules
    and their attributes), optimizers, schedulers, averages and the random state of torch, Python and numpy:
    what is trained afterwards is bit for bit what would have been trained had the block not been. Parameters,
    modules and optimizers keep their identity.

    Args:
        model: may be wrapped in `DistributedDataParallel`, or compiled.
        optimizer: of the model, or a list of them.
        scheduler: of the optimizer, or a list of them.
        ema: an `AveragedModel` of the model.
        also: whatever else is to be put back: a `GradScaler`, a `torch.Generator`, a sampler, a dict.
        on: where the copies lie; None for on the devices of the tensors themselves, which is faster there and
            takes memory there.

    Raises:
        InputError: the optimizer does not hold the model's parameters, or the scheduler is of another one.
    """
    training = Training(model=model, optimizer=optimizer, scheduler=scheduler, ema=ema, also=also)
    return Transaction(training, on)
