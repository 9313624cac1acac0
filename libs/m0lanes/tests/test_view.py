"""What a domain makes of its view becomes state whole or not at all, and there is an end to it."""

import msgspec
import pytest
from m0lanes import tags
from m0lanes.entities import Entities
from m0lanes.port import Drop, Put, Step
from m0lanes.view import LaneFull, Space, letter_about


class Seen(msgspec.Struct, frozen=True, array_like=True):
    times: int


def full_at(most: int) -> tuple[Entities, Space]:
    """Room for `most` entities, and one less in it."""
    entities = Entities()
    space = Space(entities, tags.DOMAIN, ("toy", 1), {"seen": Seen}, {}, {}, most)
    for number in range(most - 1):
        space.apply(space.checked(Step(changes=(put(str(number)),))))
    return entities, space


def put(name: str, times: int = 1) -> Put:
    return Put((name,), Seen(times))


def test_a_step_that_would_have_a_lane_remember_too_much_is_refused_whole():
    entities, space = full_at(3)
    before = entities.digest()
    with pytest.raises(LaneFull, match="remembers 2 things, 2 more would be over 3") as caught:
        space.checked(Step(changes=(put("a"), put("b"))))
    assert letter_about(space, caught.value).error == "lane_full"
    assert entities.digest() == before
    space.apply(space.checked(Step(changes=(put("a"),))))
    assert entities.count == 3


def test_a_full_lane_still_changes_and_forgets_what_it_remembers():
    entities, space = full_at(3)
    space.apply(space.checked(Step(changes=(put("a"),))))
    space.apply(space.checked(Step(changes=(put("a", 2), put("0", 2)))))
    assert space.get(Seen, "a") == Seen(2)
    with pytest.raises(LaneFull):
        space.checked(Step(changes=(put("b"),)))
    space.apply(space.checked(Step(changes=(Drop(Seen, ("0",)),))))
    space.apply(space.checked(Step(changes=(put("b"),))))
    assert entities.count == 3
