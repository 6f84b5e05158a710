"""The verdict on a series that gives no slab. Its own module, because decoding and geometry both pass it."""

from __future__ import annotations

from warehouse.reasons import message_for


class SlabRejected(Exception):
    """A series that cannot be turned into a slab: a reason code of `warehouse.reasons` and its numbers."""

    def __init__(self, reason: str, /, **numbers: float | int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.numbers = numbers

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.reason, self.numbers))

    @property
    def message(self) -> str:
        """From the reason's fixed template."""
        return message_for(self.reason, **self.numbers)


def _rebuild(reason: str, numbers: dict[str, float | int]) -> SlabRejected:
    return SlabRejected(reason, **numbers)
