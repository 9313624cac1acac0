"""What a deployment lacks, in sentences: only said, or done as well."""

from collections.abc import Awaitable, Callable

from m0deploy.errors import DeployError

Say = Callable[[str], None]


class Changes:
    """Hears of every change that is due. With `apply` it lets it happen; without it nothing is changed."""

    def __init__(self, say: Say, *, apply: bool) -> None:
        self._say = say
        self.applies = apply
        self.said: list[str] = []
        """What was due, in order; done by now where it applies."""
        self.wanted: list[str] = []
        """What only the operator can do."""
        self.left: list[str] = []
        """What differs and is left as it is."""

    async def make(self, sentence: str, act: Callable[[], Awaitable[object]]) -> None:
        """Say what is due, and do it where that was asked for."""
        self.note(sentence)
        if self.applies:
            await act()

    def note(self, sentence: str) -> None:
        """Say what is due; who says it does it, where it applies."""
        self.said.append(sentence)
        self._say(sentence)

    def want(self, sentence: str) -> None:
        """Say what the operator has to do. Raises DeployError where the steps behind it would be taken now."""
        self.wanted.append(sentence)
        if self.applies:
            raise DeployError(sentence)
        self._say(sentence)

    def leave(self, sentence: str) -> None:
        """Say what is left as it is, and by whom it is done when."""
        self.left.append(sentence)
        self._say(f"left: {sentence}")
