"""What can go wrong with the embedded stack, each as one sentence that names the cause and the remedy."""


class LocalStackError(Exception):
    """Root of every failure of the embedded stack; its text is shown to the operator as it stands."""


class DownloadError(LocalStackError):
    """A server's files could not be fetched or do not have the locked content."""


class DiskFullError(LocalStackError):
    """No space left where the stack keeps its data or its downloads."""


class PortTakenError(LocalStackError):
    """A port the stack needs belongs to another program."""


class StartError(LocalStackError):
    """A server or service did not become ready."""


class MissingToolError(LocalStackError):
    """Something the machine must offer (a Java runtime, setpriv) is not there."""


class UsageError(LocalStackError):
    """The caller named something that does not exist; the command exits with 2."""
