"""Replay: rebuild an epoch's root from the topics alone and say MATCH, or where it first differs."""

from m0lanes.replay.run import Replay, Verdict, replay_epoch

__all__ = ["Replay", "Verdict", "replay_epoch"]
