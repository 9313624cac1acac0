"""Times of records that decide something must be the broker's: who writes could choose others."""

from m0common.errors import SettingsError


def create_time_refused(topic: str) -> SettingsError:
    """The error for a topic whose records bear their writer's time where the broker's is needed."""
    return SettingsError(
        f"records of topic {topic} bear the time their writer chose (message.timestamp.type=CreateTime): set "
        "message.timestamp.type=LogAppendTime on the topic (creating the topics does); only a mirror or an import "
        "that kept the original times is read as it is, by a reader that allows create time",
    )
