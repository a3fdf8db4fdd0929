"""Running text to train language adapters on, by language: sources of documents, as rows with the column `text`."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fun import world
from fun.data.base import Source, shuffled
from fun.data.facts import check_columns
from fun.data.files import content_key, text_of
from fun.data.sources import Parquet
from fun.errors import ConfigError
from fun.machine.hub import Hub, Repository

if TYPE_CHECKING:
    from fun.tasks import Task

MOST_DOCUMENTS = 200_000
"""To train on, of any corpus, to bound memory: Wikipedia's fill about as many blocks of 512 tokens, 400 MB."""

WIKIPEDIA = Repository("wikimedia/wikipedia", "main", kind="dataset")
FILES = "20231101.{language}/*.parquet"
"""Of a language, with the columns id, url, title and text."""


@dataclass(frozen=True)
class Sample:
    """The documents of a corpus that a run reads: parts of one fixed random permutation, whatever the run's seed.

    The first `held_out` are for validation, as many for the test, the next `training` at most for training, where a
    budget reads no more documents than blocks. So the held-out ones do not depend on the budget, and a smaller training
    set lies in a larger one.
    """

    held_out: int
    training: int = MOST_DOCUMENTS

    def part(self, split: str) -> slice:
        """The positions of a split in the permutation."""
        held_out, both = self.held_out, 2 * self.held_out
        parts = {"validation": slice(0, held_out), "test": slice(held_out, both)}
        return parts.get(split, slice(both, both + min(self.training, MOST_DOCUMENTS)))


class Corpus(Source):
    """A corpus as a `Source`: one data set, `name`, whose rows are documents."""

    name: str

    def __init__(self, sample: Sample) -> None:
        super().__init__()
        self.sample = sample

    @abstractmethod
    def documents(self, language: str) -> Sequence[str] | Parquet:
        """All documents, in an order of their own, or the table that has them. Raises as `Source.rows` does."""

    @abstractmethod
    def content(self, language: str) -> str:
        """Identity of the content of `documents`, without a download. Raises ConfigError where there are none."""

    def training_set(self, task: "Task[Any]") -> str:
        return self.name

    def test_sets(self, task: "Task[Any]") -> dict[str, tuple[str, ...]]:
        return {self.name: ()}  # in the language that the adapter is trained in, which the run names

    def rows(self, dataset: str, language: str, split: str) -> list[dict[str, Any]]:
        documents = self.documents(language)
        if len(documents) <= 2 * self.sample.held_out:
            raise ConfigError(
                f"{self.name} ({language}): found {len(documents)} documents, expected more than 2 · "
                f"{self.sample.held_out} held out for validation and test; give more text, or type "
                f"task.validation_examples={(len(documents) - 1) // 20 or 1} or less"
            )
        positions = shuffled(len(documents), self.sample.part(split))
        if isinstance(documents, Parquet):
            return documents.rows(("text",), positions)
        return [{"text": documents[position]} for position in positions]

    def key(self, dataset: str, language: str, split: str) -> str:
        part = self.sample.part(split)
        return f"{self.content(language)}/shuffled[{part.start}:{part.stop}]"

    def place(self, dataset: str, language: str, split: str) -> str:
        return self.content(language)  # all splits are parts of one text

    def expected_rows(self, dataset: str, language: str, split: str) -> int | None:
        return None  # text is not counted beforehand


class WorldText(Corpus):
    """The miniature world's own text."""

    name = "microtext"

    def documents(self, language: str) -> Sequence[str]:
        return world.load_text(language)

    def content(self, language: str) -> str:
        return world.key(f"text/{language}")


class HubText(Corpus):
    """Wikipedia, an article per document. A language is downloaded whole, and read from disk by position."""

    name = "wikipedia"

    def documents(self, language: str) -> Parquet:
        table = Parquet(f"{self.name} ({language})", WIKIPEDIA, FILES.format(language=language))
        self.commits |= table.commits
        return table

    def check(self, hub: Hub, dataset: str, language: str, split: str) -> str:
        """What one of its files says of all, without a download. Raises ConfigError and HubError."""
        names = hub.matching(WIKIPEDIA, FILES.format(language=language))
        check_columns(f"{self.name} ({language})", hub.table(WIKIPEDIA, names[0])[0], ("text",))
        return f"text: {len(names)} files"

    def content(self, language: str) -> str:
        return f"hub:{WIKIPEDIA}/{FILES.format(language=language)}"


class FolderText(Corpus):
    """Text files in UTF-8 below `root`: <language>.txt, or all of <language>/*.txt in the order of their names. Every
    line that is not blank is a document: write an article on one line."""

    name = "text"

    def __init__(self, root: Path, sample: Sample) -> None:
        super().__init__(sample)
        self.root = root

    def documents(self, language: str) -> Sequence[str]:
        documents: list[str] = []
        for path in self._files(language):
            try:
                # Not str.splitlines: a document may hold other line separators of Unicode.
                lines = text_of(path).replace("\r", "\n").split("\n")
            except ValueError as error:
                raise ConfigError(f"{path}: {error}: convert it") from error
            documents += (line.strip() for line in lines if line.strip())
        return documents

    def content(self, language: str) -> str:
        return content_key(self._files(language))

    def place(self, dataset: str, language: str, split: str) -> str:
        return ", ".join(map(str, self._files(language)))

    def _files(self, language: str) -> list[Path]:
        single = self.root / f"{language}.txt"
        files = [single] if single.is_file() else sorted((self.root / language).glob("*.txt"))
        if not files:
            raise ConfigError(
                f"data.root={self.root} has no text in {language}: expected {language}.txt or {language}/*.txt, a "
                "document per line"
            )
        return files


class TestText(Corpus):
    """The text of a test set of sentence pairs in XNLI's columns: each premise and each hypothesis is a document."""

    def __init__(self, data: Source, dataset: str, sample: Sample) -> None:
        super().__init__(sample)
        self.data = data
        self.name = dataset

    def documents(self, language: str) -> Sequence[str]:
        rows = self.data.rows(self.name, language, "test")
        self.commits = self.data.commits
        return [row[column] for row in rows for column in ("premise", "hypothesis")]

    def check(self, hub: Hub, dataset: str, language: str, split: str) -> str:
        return self.data.check(hub, self.name, language, "test")

    def content(self, language: str) -> str:
        return self.data.key(self.name, language, "test")
