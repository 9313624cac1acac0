"""How long a reader has waited for its broker without an answer."""

import asyncio

import pytest
from m0common.stream import silence
from m0common.stream.broker import Heard, TopicPartition
from m0common.stream.silence import Silence

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


class Consumer:
    """Answers about the partitions it is told to."""

    def __init__(self, *places):
        self.places = places
        self.answers = {}

    def answer(self, *places):
        for place in places:
            self.answers[place] = self.answers.get(place, 0) + 1

    def reading(self):
        return frozenset(self.places)

    def heard(self, place):
        return Heard(self.answers[place], 0) if place in self.answers else None


class Time(asyncio.SelectorEventLoop):
    """A loop whose time goes on when it is told to."""

    at_s = 0.0

    def time(self):
        return self.at_s


@pytest.fixture
def loop():
    made = Time()
    yield made
    made.close()


@pytest.fixture
def quiet():
    return Silence()


@pytest.fixture
def polls(loop, quiet):
    """Runs polls: `polls(consumer, seconds, answered)`; what readiness says then."""

    async def poll(consumer, seconds, answered):
        with quiet.poll(consumer):
            loop.at_s += seconds
            consumer.answer(*answered)
        return quiet.problem()

    return lambda consumer, seconds, *answered: loop.run_until_complete(poll(consumer, seconds, answered))


def test_a_partition_that_nobody_answers_about_is_named(polls):
    consumer = Consumer(A, B)
    said = [polls(consumer, 1.0, A) for _ in range(4)]
    assert said == [None, None, None, "no broker has answered about t partition 1 for 4 s"]
    assert polls(consumer, 1.0, A, B) is None


def test_answers_without_records_are_answers(polls):
    consumer = Consumer(A)
    assert [polls(consumer, 1.0, A) for _ in range(20)] == [None] * 20


def test_a_question_waits_on_top_of_the_polls_before_it(loop, quiet, polls):
    consumer = Consumer(A)

    async def asks(seconds):
        with quiet.asking("where does it end"):
            loop.at_s += seconds
            return quiet.problem()

    assert [polls(consumer, 1.0) for _ in range(3)] == [None] * 3
    assert loop.run_until_complete(asks(0.9)) is None
    assert loop.run_until_complete(asks(1.0)) == "no broker has answered for 4 s: where does it end"
    assert quiet.problem() is None
    assert polls(consumer, 1.0, A) is None
    assert loop.run_until_complete(asks(3.9)) is None
    assert "for 4 s: where" in loop.run_until_complete(asks(4.0))


def test_what_a_poll_does_besides_is_no_waiting(polls):
    consumer = Consumer(A)
    assert [polls(consumer, 60.0) for _ in range(3)] == [None] * 3
    assert "for 4 s" in polls(consumer, 60.0)


def test_a_poll_that_returns_at_once_is_no_waiting(polls):
    consumer = Consumer(A)
    assert [polls(consumer, silence.INSTANT_S / 2) for _ in range(2000)] == [None] * 2000


def test_what_is_not_being_read_is_not_missed(polls):
    consumer = Consumer(A)
    for _ in range(9):
        polls(consumer, 1.0)
    consumer.places = ()
    assert polls(consumer, 1.0) is None
