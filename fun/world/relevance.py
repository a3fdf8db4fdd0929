"""What a text is about, whether it answers a question, how near a page is to a query: items of the world's nc, qam and
wpr, and their rows."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from fun.world.draws import below, other, pick, shuffled
from fun.world.facts import ASKABLE, Settled, anything, fact, people
from fun.world.grammar import Clause, claim, question
from fun.world.lexicon import NAMES, RELATIONS, TOPICS

if TYPE_CHECKING:
    from fun.world.splits import Row, Speaker

PAGES = 4
"""Of a query, of the grades 0 to 3."""


class Story(NamedTuple):
    """Clauses, the first of which is the title; most of them are of the `topic`."""

    clauses: tuple[Clause, ...]
    topic: int


def story(rng: random.Random, number: int) -> Story:
    """The topics in turn. Two or three of four clauses are of it, the others of others; no word is in all of them."""
    topic = number % TOPICS
    others = shuffled(rng, [each for each in range(TOPICS) if each != topic])
    topics = shuffled(rng, [topic, topic, topic if rng.random() < 0.5 else others[0], others[1]])
    persons, settled, clauses = people(rng, 2), set[Any](), list[Clause]()
    for each in topics:
        clause = anything(rng, pick(rng, persons), settled)._replace(value=each)
        settled.add((clause.person, clause.relation))
        clauses.append(clause)
    return Story(tuple(clauses), topic)


def nc_row(speaker: "Speaker", item: Story) -> "Row":
    """The columns of nc."""
    title, *body = item.clauses
    return {"news_title": speaker.say(title), "news_body": speaker.say(*body), "label": item.topic}


class Answer(NamedTuple):
    """What is asked, and then a passage, which answers it (1) or does not (0)."""

    clauses: tuple[Clause, ...]
    label: int


def answer(rng: random.Random, number: int) -> Answer:
    """The labels in turn. A passage that does not answer lacks the question's person or its relation or, now and then,
    has both, but not together."""
    label = number % 2
    one, another = people(rng, 2)
    answering = anything(rng, one, relations=ASKABLE)
    aside = anything(rng, another, {(another, answering.relation)})
    synonym = answering.synonym != (rng.random() < 0.3)
    asked = answering._replace(value=0, colour=-1, number=-1, synonym=synonym)  # of which no more is said
    if label == 0:
        match below(rng, 5):
            case 0 | 1:
                answering = anything(rng, one, {(one, answering.relation)})
            case 2 | 3:
                answering = answering._replace(person=another)
            case _:
                answering, aside = answering._replace(person=another), aside._replace(person=one)
    return Answer((asked, *shuffled(rng, [answering, aside])), label)


def qam_row(speaker: "Speaker", item: Answer) -> "Row":
    """The columns of qam."""
    asked, *passage = item.clauses
    text, _ = speaker.write(question(asked, speaker.code, who=False))
    return {"question": text, "answer": speaker.say(*passage), "label": item.label}


class Page(NamedTuple):
    """A query, a page's title and snippet, and how many of the query's person, relation and object the title has."""

    clauses: tuple[Clause, Clause, Clause]
    grade: int


def search(rng: random.Random, number: int) -> list[Page]:
    """A query with a page of each grade, in random order; snippets are of something else."""
    query = anything(rng, below(rng, len(NAMES)), relations=ASKABLE)._replace(colour=-1, number=-1)
    settled: Settled = {(query.person, query.relation)}
    pages = []
    for grade in shuffled(rng, range(PAGES)):
        same = set(shuffled(rng, range(3))[:grade])  # 0: person, 1: relation, 2: object
        person = query.person if 0 in same else other(rng, len(NAMES), query.person)
        relations = [each for each in ASKABLE if each != query.relation]
        if 2 in same:
            relations = [each for each in relations if each.object == query.relation.object]
        relation = query.relation if 1 in same else pick(rng, relations)
        value = query.value if 2 in same else other(rng, TOPICS, query.value)
        snippet = anything(rng, other(rng, len(NAMES), query.person), settled, RELATIONS)
        pages.append(Page((query, fact(rng, person, relation, value), snippet), grade))
    return pages


def wpr_row(speaker: "Speaker", item: Page) -> "Row":
    """The columns of wpr."""
    query, title, snippet = item.clauses
    return {
        "query": speaker.write(claim(query, speaker.code))[0],
        "web_page_title": speaker.say(title),
        "web_page_snippet": speaker.say(snippet),
        "label": item.grade,
    }


DRAWN: dict[str, Callable[[random.Random, int], Any]] = {"nc": story, "qam": answer, "wpr": search}
"""Task -> what draws an item, from its number in the split too; of wpr all pages of a query."""
