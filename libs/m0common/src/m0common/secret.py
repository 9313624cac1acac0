"""A setting that may not be printed. Who needs it asks `reveal()` at each connect: its rotation needs no restart.

A secret is a text, or a file that holds it, read again each time (a mounted Secret, a token that is renewed). `str`,
`repr` and JSON of a secret show a mask; `scrub` takes what it revealed out of other text, such as the errors of a
client that was given it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, PlainSerializer, PlainValidator

from m0common import masking
from m0common.addresses import HTTP, WEBSOCKET, url_fault
from m0common.errors import Unavailable
from m0common.masking import Masked

REMEMBERED = 8
"""So many revealed values are looked for in text: a value that was rotated may still stand in an old error."""


class Secret:
    """A text of which nothing is shown. Empty is "not set" and false."""

    def __init__(self, value: str = "", *, file: Path | None = None) -> None:
        """Args: `value` itself, or the `file` whose first line it is."""
        self._value = value
        self.file = file
        self._revealed: deque[tuple[str, Masked]] = deque(maxlen=REMEMBERED)
        """With what stands for it: every line of a log is looked through, and a mask costs more than that."""
        if value:
            self._remember(value)

    @classmethod
    def of(cls, value: "str | Secret") -> Self:
        """A text as a secret of this kind; a secret of this kind as it is."""
        if isinstance(value, cls):
            return value
        return cls(value) if isinstance(value, str) else cls(value._value, file=value.file)  # noqa: SLF001 - its kin

    @staticmethod
    def mask(value: str) -> Masked:
        """What of a value may be shown."""
        return masking.opaque(value)

    @classmethod
    def fault(cls, value: str) -> str | None:
        """What is wrong with a value, in words that do not hold it; None when nothing is."""
        del value
        return None

    def reveal(self) -> str:
        """The value as of now. Raises Unavailable when its file cannot be read, is empty, or holds what is wrong."""
        if self.file is None:
            return self._value
        value = self._first_line(self.file)
        if not value:
            raise Unavailable(f"secret file {self.file} is empty: write the secret into its first line")
        self._remember(value)
        fault = self.fault(value)
        if fault is not None:
            raise Unavailable(f"secret file {self.file}: {fault}")
        return value

    def _remember(self, value: str) -> None:
        if all(value != known for known, _ in self._revealed):
            self._revealed.append((value, self.mask(value)))

    @staticmethod
    def _first_line(file: Path) -> str:
        """Up to the first line break, of any system's; other characters that end lines may stand in a password."""
        try:
            if file.exists() and not file.is_file():
                raise Unavailable(f"secret file {file} cannot be read: it is no file")
            # an editor's mark of UTF-8 in front is no part of it
            return file.read_text("utf-8-sig").partition("\n")[0].rstrip("\r")
        except (OSError, ValueError) as error:
            why = (
                "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", "") or error
            )
            raise Unavailable(f"secret file {file} cannot be read: {why}") from None

    def scrub(self, text: str) -> str:
        """`text` without what this secret has revealed."""
        for value, masked in self._revealed:
            text = masking.scrub(text, value, masked)
        return text

    def __bool__(self) -> bool:
        return bool(self._value) or self.file is not None

    def __str__(self) -> str:
        """What may be shown: the file's name, or the value masked."""
        return f"file {self.file}" if self.file is not None else self.mask(self._value).shown

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and (self._value, self.file) == (other._value, other.file)

    def __hash__(self) -> int:
        return hash((self._value, self.file))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: GetCoreSchemaHandler) -> Any:  # a schema of pydantic's
        return handler.generate_schema(Annotated[Any, PlainValidator(cls._validated), PlainSerializer(str)])

    @classmethod
    def _validated(cls, value: object) -> Self:
        if not isinstance(value, str | Secret):
            raise ValueError("write it as a text")  # noqa: TRY004 - pydantic takes a TypeError for a fault of ours
        made = cls.of(value)
        fault = cls.fault(made._value)  # noqa: SLF001 - its kin
        if fault is not None:
            raise ValueError(fault)
        return made


class SecretKey(Secret):
    """A key: outside dev at least `BYTES_MIN` long."""

    BYTES_MIN: ClassVar[int] = 32


class SecretUrl(Secret):
    """An address whose credentials, path and query are secret; scheme, host and port are shown."""

    SCHEMES: ClassVar = HTTP

    @staticmethod
    def mask(value: str) -> Masked:
        return masking.url(value)

    @classmethod
    def fault(cls, value: str) -> str | None:
        return url_fault(cls.SCHEMES, value)


class SecretStreamUrl(SecretUrl):
    """The same of a WebSocket."""

    SCHEMES = WEBSOCKET


class SecretDsn(Secret):
    """An address in which passwords alone are secret."""

    @staticmethod
    def mask(value: str) -> Masked:
        return masking.dsn(value)

    @classmethod
    def fault(cls, value: str) -> str | None:
        return masking.dsn_fault(value)


def scrubber(secrets: Iterable[Secret]) -> Callable[[str], str]:
    """A function that takes all of `secrets` out of a text."""
    kept = tuple(secrets)

    def scrub(text: str) -> str:
        for secret in kept:
            text = secret.scrub(text)
        return text

    return scrub
