"""Device and hub agree on the shadow in the end, whatever happens on the way (hypothesis chooses),
and nothing reported or desired is lost; and worlds with a fault in either are found out."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from host_tests.faults.shadow_broken import SUBJECTS
from host_tests.faults.shadow_world import (
    REFUSED_VALUE,
    REPORTED_KEYS,
    WISHED_KEYS,
    Desk,
    Subject,
    World,
)

RUNS = 500
SWEEP_RUNS = 25_000
BROKEN_RUNS = 1000
MIN_ACTIONS = 10
MAX_ACTIONS = 60

VALUES: tuple[Any, ...] = (
    0,
    1,
    True,
    2.5,
    "灯",
    [],
    [1, {"y": 2}],
    {"p": 1},
    {"p": {"q": 2}, "r": 3},
    {"p": None},
    None,
)


def changes(keys: tuple[str, ...], *more: Any) -> st.SearchStrategy[dict[str, Any]]:
    values = st.sampled_from(VALUES + more)
    return st.dictionaries(st.sampled_from(keys), values, min_size=1, max_size=2)


Action = tuple[Any, ...]
PLACES = st.integers(0, 3)
WISHES = changes(WISHED_KEYS, REFUSED_VALUE)
# As often as they stand here.
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just(World.wish), WISHES),
    st.tuples(st.just(World.wish), WISHES),
    st.tuples(st.just(World.wish_in_vain), WISHES),
    st.tuples(st.sampled_from((World.clear_wishes, World.delete, World.restart))),
    st.tuples(st.just(World.fail), st.sampled_from((5007, 5010, 5100))),
    st.tuples(st.just(World.report), changes(REPORTED_KEYS)),
    st.tuples(st.just(World.report), changes(REPORTED_KEYS)),
    st.tuples(st.just(World.clear_at_device), st.sampled_from(WISHED_KEYS)),
    st.tuples(st.sampled_from((World.fetch, World.run_handlers, World.run_handlers))),
    st.tuples(st.just(World.wait), st.sampled_from((1, 4, 20, 60, 250))),
    st.tuples(st.just(World.connect)),
    st.tuples(st.just(World.disconnect), st.booleans()),
    st.tuples(st.just(World.carry)),
    st.tuples(st.just(World.carry)),
    st.tuples(st.sampled_from((World.lose_up, World.repeat_up))),
    st.tuples(st.just(World.lose_down), PLACES),
    st.tuples(st.just(World.pick_down), PLACES, st.booleans()),
    st.tuples(st.just(World.pick_down), PLACES, st.booleans()),
)


def trial(subject: Subject, runs: int, *phases: Phase) -> Callable[[], None]:
    """Tries a subject in so many runs, the same ones each time."""
    desk = Desk()

    @settings(
        max_examples=runs,
        derandomize=True,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(ACTIONS, min_size=MIN_ACTIONS, max_size=MAX_ACTIONS), st.booleans())
    def try_it(actions: list[Action], on_a_new_link: bool) -> None:
        world = World(desk, subject)
        try:
            world.connect()
            for action, *arguments in actions:
                action(world, *arguments)
            world.settle(on_a_new_link)
            world.check()
        finally:
            world.leave()

    return try_it


def test_device_and_hub_agree_in_the_end(sweep_full):
    runs = SWEEP_RUNS if sweep_full else RUNS
    trial(Subject(), runs, Phase.generate, Phase.shrink)()
    print(f"{runs} runs, each of {MIN_ACTIONS} to {MAX_ACTIONS} steps")


@pytest.mark.parametrize("fault", SUBJECTS)
def test_a_fault_is_found(fault):
    with pytest.raises(AssertionError):
        trial(SUBJECTS[fault], BROKEN_RUNS, Phase.generate)()
