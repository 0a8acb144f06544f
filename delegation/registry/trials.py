"""The tests written beside the grants: each is asked, and its answer compared."""

from collections.abc import Iterable
from dataclasses import dataclass

from delegation.domain.questions import Expectation, No, Unaskable, Yes, can_i
from delegation.domain.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a test: its *answer*, or the *problem* for which there is none."""

    expectation: Expectation
    answer: Yes | No | None
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was answered as expected. What cannot be asked is not."""
        return self.answer is not None and self.expectation.is_met_by(self.answer)


def run(expectations: Iterable[Expectation], registry: Registry) -> list[Outcome]:
    """What comes of each of them, in their order."""
    return [_outcome(one, registry) for one in expectations]


def _outcome(expectation: Expectation, registry: Registry) -> Outcome:
    try:
        answer = can_i(expectation.question, registry)
    except Unaskable as error:
        return Outcome(expectation=expectation, answer=None, problem=str(error))
    return Outcome(expectation=expectation, answer=answer)
