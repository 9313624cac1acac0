"""What a domain makes of its view becomes state whole or not at all, and there is an end to it."""

import msgspec
import pytest
from m0lanes import tags
from m0lanes.entities import Entities, entity_key
from m0lanes.port import Drop, Put, Step
from m0lanes.view import LaneFull, Owner, Space, forget_others, letter_about


class Seen(msgspec.Struct, frozen=True, array_like=True):
    times: int


TOY = ("toy", "1")


def space_of(entities: Entities, owner: Owner, most: int | None = None) -> Space:
    return Space(entities, tags.DOMAIN, owner, {"seen": Seen}, {}, {}, most)


def own(entities: Entities) -> int:
    return len(entities.each(entity_key(tags.DOMAIN, *TOY)))


def full_at(most: int) -> tuple[Entities, Space]:
    """Room for `most` entities, and one less in it, beside what is not the domain's."""
    entities = Entities()
    for others in (("toy", "2"), ("toys", "1")):
        theirs = space_of(entities, others)
        theirs.apply(theirs.checked(Step(changes=tuple(put(str(number)) for number in range(most)))))
    entities.put(entity_key(tags.SEQ_HIGH, "table", "penny"), bytes(8))
    space = space_of(entities, TOY, most)
    for number in range(most - 1):
        space.apply(space.checked(Step(changes=(put(str(number)),))))
    return entities, space


def put(name: str, times: int = 1) -> Put:
    return Put((name,), Seen(times))


def test_a_step_that_would_have_a_lane_remember_too_much_is_refused_whole():
    entities, space = full_at(3)
    before = entities.digest()
    with pytest.raises(LaneFull, match="2 things are remembered in this lane, 2 more would be over 3") as caught:
        space.checked(Step(changes=(put("a"), put("b"))))
    assert letter_about(space, caught.value).error == "lane_full"
    assert entities.digest() == before
    space.apply(space.checked(Step(changes=(put("a"),))))
    assert own(entities) == 3


def test_a_full_lane_still_changes_and_forgets_what_it_remembers():
    entities, space = full_at(3)
    space.apply(space.checked(Step(changes=(put("a"),))))
    space.apply(space.checked(Step(changes=(put("a", 2), put("0", 2)))))
    assert space.get(Seen, "a") == Seen(2)
    with pytest.raises(LaneFull):
        space.checked(Step(changes=(put("b"),)))
    space.apply(space.checked(Step(changes=(Drop(Seen, ("0",)),))))
    space.apply(space.checked(Step(changes=(put("b"),))))
    assert own(entities) == 3


def test_what_is_not_the_domains_own_takes_no_room_and_a_restart_counts_the_same():
    entities, space = full_at(3)
    space.apply(space.checked(Step(changes=(put("a"), Drop(Seen, ("nobody",))))))
    entities.put(entity_key(tags.SEQ_SEEN, "table", "penny", bytes(8)), bytes(128))
    for again in (space, space_of(Entities(entities.items()), TOY, 3)):
        with pytest.raises(LaneFull, match="3 things are remembered in this lane, 1 more would be over 3"):
            again.checked(Step(changes=(put("b"),)))
        again.apply(again.checked(Step(changes=(Drop(Seen, ("a",)),))))
        again.apply(again.checked(Step(changes=(put("b"),))))


def test_what_others_keep_is_forgotten_and_nothing_else_is():
    entities, _ = full_at(3)
    rest = entities.count - own(entities)
    forget_others(entities, tags.DOMAIN, TOY)
    assert (own(entities), entities.count) == (2, 3)
    assert rest == 7
    forget_others(entities, tags.DOMAIN, None)
    assert [key[0] for key, _ in entities.items()] == [tags.SEQ_HIGH]
