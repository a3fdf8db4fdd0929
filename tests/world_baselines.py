"""What the tasks give away without understanding: the scores that a model must beat.

NLI: the words of the claim alone, and which of the claim's words the premise has; both learn from the English
training split. QA: a random clause, and a random clause in the relation that is asked for. COPA: the choice
whose words were more often right in training.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

from fun.world import manifest
from fun.world.facts import CONTRADICTED, Context
from fun.world.grammar import Clause, Speaker
from fun.world.lexicon import LANGUAGES
from fun.world.splits import SOURCE, generate, items
from fun.world.tasks import Row, squad_rows


def _words(text: str) -> list[str]:
    return text.lower().replace(".", "").replace("?", "").split()


def overlap_f1(predicted: str, accepted: Sequence[str]) -> float:
    """SQuAD's word F1 against the best of the accepted answers, 0 to 1; there are no articles to drop."""
    best = 0.0
    for answer in accepted:
        found, gold = Counter(_words(predicted)), Counter(_words(answer))
        shared = (found & gold).total()
        best = max(best, 2 * shared / (found.total() + gold.total()))
    return best


def guessed_clause(code: str, among: Callable[[Context, Clause], bool]) -> tuple[float, float]:
    """F1 and EM in percent, in expectation, of answering with a random clause's name or object.

    `among` says which clauses are drawn from; the question word tells a name from an object.
    """
    seed = manifest()["seed"]
    f1 = em = 0.0
    drawn: list[Context] = [item.args[0] for item, _ in items("squad", "test", seed)]
    speaker = Speaker(seed, code)
    for item in drawn:
        gold = squad_rows(item, speaker)[0]["answers"]["text"]
        guesses = [
            squad_rows(item._replace(answering=clause), speaker)[0]["answers"]["text"][0]
            for clause in item.clauses
            if among(item, clause)
        ]
        f1 += sum(overlap_f1(guess, gold) for guess in guesses) / len(guesses)
        em += sum(guess in gold for guess in guesses) / len(guesses)
    return 100 * f1 / len(drawn), 100 * em / len(drawn)


def claim_words(train: Sequence[Row], test: Sequence[Row]) -> float:
    """Accuracy in percent of naive Bayes over the hypothesis's words and word pairs."""

    def features(row: Row) -> list[str]:
        words = _words(row["hypothesis"])
        return [*words, *(" ".join(pair) for pair in pairwise(words))]

    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for row in train:
        counts[row["label"]].update(features(row))
    totals = {label: counter.total() for label, counter in counts.items()}

    def best(row: Row) -> int:
        return max(counts, key=lambda y: sum(math.log((counts[y][f] + 1) / totals[y]) for f in features(row)))

    right = sum(1 for row in test if best(row) == row["label"])
    return 100 * right / len(test)


def claim_overlap(train: Sequence[Row], test: Sequence[Row]) -> float:
    """Accuracy in percent of a table over which of the claim's words the premise has, and how often."""

    def pattern(row: Row) -> Hashable:
        given, claim = Counter(_words(row["premise"])), _words(row["hypothesis"])
        marked = ("the", "in", "is", "never")
        return tuple(word if word in marked else given[word] for word in claim), row["premise"].count(".")

    table: dict[Hashable, Counter[int]] = defaultdict(Counter)
    for row in train:
        table[pattern(row)][row["label"]] += 1
    majority = Counter(row["label"] for row in train)
    guesses = [table.get(pattern(row), majority).most_common(1)[0][0] for row in test]
    right = sum(1 for guess, row in zip(guesses, test, strict=True) if guess == row["label"])
    return 100 * right / len(test)


def choice_words(train: Sequence[Row], test: Sequence[Row]) -> float:
    """Accuracy in percent of the choice whose words were right more often; ties by a fixed coin."""
    score: Counter[str] = Counter()
    for row in train:
        true, false = ("choice1", "choice2") if row["label"] == 0 else ("choice2", "choice1")
        score.update(_words(row[true]))
        score.subtract(_words(row[false]))
    coin = random.Random(0)
    right = 0
    for row in test:
        first, second = (sum(score[word] for word in _words(row[c])) for c in ("choice1", "choice2"))
        guess = int(coin.random() < 0.5 if first == second else second > first)
        right += int(guess == row["label"])
    return 100 * right / len(test)


def report() -> dict[str, dict[str, float]]:
    """Baseline -> language -> score in percent, on the test splits."""
    seed = manifest()["seed"]
    mnli, copa = ([generate(task, SOURCE, split, seed) for split in ("train", "test")] for task in ("mnli", "copa"))
    clause = {code: guessed_clause(code, lambda item, clause: True) for code in LANGUAGES}
    relation = {
        code: guessed_clause(code, lambda item, clause: clause.relation == item.asked.relation) for code in LANGUAGES
    }
    return {
        "mnli: chance, accuracy": {SOURCE: 100 / (CONTRADICTED + 1)},
        "mnli: words of the claim alone, accuracy": {SOURCE: claim_words(*mnli)},
        "mnli: overlap with the premise, accuracy": {SOURCE: claim_overlap(*mnli)},
        "squad: random clause, F1": {code: f1 for code, (f1, _) in clause.items()},
        "squad: random clause, EM": {code: em for code, (_, em) in clause.items()},
        "squad: clause in the relation asked for, F1": {code: f1 for code, (f1, _) in relation.items()},
        "squad: clause in the relation asked for, EM": {code: em for code, (_, em) in relation.items()},
        "copa: chance, accuracy": {SOURCE: 50.0},
        "copa: words of the choices alone, accuracy": {SOURCE: choice_words(*copa)},
    }
