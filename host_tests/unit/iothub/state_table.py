"""Watches that a state machine keeps to its table: the boards do without the table."""


def watched(machine, next_states, met=None):
    """`machine`, a class with a `state` that is 0 at first, as one that fails a step which
    `next_states` (for each state those that may follow) has not. `met` (a set) gathers steps."""

    class Watched(machine):  # type: ignore[valid-type, misc]
        _now = 0

        @property
        def state(self):
            return self._now

        @state.setter
        def state(self, following):
            if following != self._now:
                step = (self._now, following)
                assert following in next_states[self._now], step
                if met is not None:
                    met.add(step)
                self._now = following

    return Watched


def steps(next_states):
    """All that the table allows, a set of (state, following)."""
    found = set()
    for state in range(len(next_states)):
        for following in next_states[state]:
            found.add((state, following))
    return found
