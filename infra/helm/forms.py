"""What texts of the values look like, as regular expressions of Go, which has no looking around."""

LABEL = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
"""What may be the value of a label; an image's tag is one of each pod."""
NAME = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
NAMES = rf"{NAME}(\.{NAME})*"
HOST = r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?"
PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
BROKER = rf"({HOST}|\[[0-9A-Fa-f:.]+\]):{PORT}"
PLACE = rf"({HOST}|\[[0-9A-Fa-f:.]+\])(:{PORT})?(/[^ ]*)?"
"""What stands behind the scheme of an address."""
BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
CIDR = rf"({BYTE}(\.{BYTE}){{3}}/(3[0-2]|[12]?[0-9])|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))"
AMOUNT = r"[0-9]+(\.[0-9]+)?([munkMGTPE]|[KMGTPE]i|[eE][0-9]+)?"


def cron(*values: str) -> str:
    """A field of a schedule, by what a value of it looks like."""
    one = f"({'|'.join(values)})"
    return rf"(\*|{one}(-{one})?)(/[1-9][0-9]?)?(,(\*|{one}(-{one})?)(/[1-9][0-9]?)?)*"


SCHEDULE = " +".join((
    cron("[0-5]?[0-9]"), cron("2[0-3]|[01]?[0-9]"), cron("3[01]|[12][0-9]|0?[1-9]"),
    cron("1[0-2]|0?[1-9]", "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"),
    cron("[0-7]", "SUN|MON|TUE|WED|THU|FRI|SAT"),
))  # fmt: skip
