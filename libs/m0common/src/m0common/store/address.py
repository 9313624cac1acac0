"""The address of Postgres as of now, refused when it is none: libpq would quote it in an error of its own."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from m0common.errors import SettingsError
from m0common.secret import SecretDsn


def address(dsn: SecretDsn) -> str:
    """What to connect to. Raises SettingsError when it is no address, Unavailable when its file cannot be read."""
    revealed = dsn.reveal()
    try:
        conninfo_to_dict(revealed)
    except psycopg.ProgrammingError as error:
        said = dsn.scrub(str(error).strip())
        raise SettingsError(
            f"M0_PG_DSN is no address of Postgres ({said}): write postgresql://USER@HOST/NAME"
        ) from None
    return revealed
