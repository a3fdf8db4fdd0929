"""What a number of a table is over: one language of a data set, or an average of several."""

from dataclasses import dataclass

from reproduce.declare.parts import Dataset


@dataclass(frozen=True)
class Over:
    """`of` is as declared: `source`, `lowest`, `average`, `average with source`, or a language's code."""

    of: str

    def languages(self, dataset: Dataset) -> tuple[str, ...]:
        """What a run must be evaluated in; of `lowest` every target language, as it turns out to be one of them."""
        if self == SOURCE:
            return (dataset.source,)
        if self == AVERAGE_WITH_SOURCE:
            return dataset.languages
        return dataset.targets if self in (LOWEST, AVERAGE) else (self.of,)

    @property
    def average(self) -> bool:
        """Whether it is over several languages."""
        return self in (AVERAGE, AVERAGE_WITH_SOURCE)

    def printed(self, dataset: Dataset) -> str:
        """What numbers.csv calls it, without the language that `lowest:` goes on with."""
        return "avg" if self.average else "lowest" if self == LOWEST else self.languages(dataset)[0]

    def label(self, dataset: Dataset) -> str:
        """The heading of its column: `En`, `Lowest`, `Average`, `Average with En`."""
        if self == AVERAGE_WITH_SOURCE:
            return f"Average with {dataset.source.title()}"
        return "Average" if self.average else "Lowest" if self == LOWEST else self.languages(dataset)[0].title()


SOURCE, LOWEST, AVERAGE = Over("source"), Over("lowest"), Over("average")
AVERAGE_WITH_SOURCE = Over("average with source")

KINDS = (SOURCE, LOWEST, AVERAGE, AVERAGE_WITH_SOURCE)
"""All but the languages."""
