"""The workers of a signer: who has which partition, how much each may have before it, what they say."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from m0common.errors import M0Error
from m0common.stream.records import Record
from m0common.stream.restored import Restored

from m0_signer.workers.link import Launch, Link, WorkerLost
from m0_signer.workers.wire import Begin, Done, Feed, FromWorker, Ready, Save, state_parts

BATCH = 200
"""So many records are sent at once."""
WINDOW_BYTES = 4 << 20
"""A worker has at most so many bytes of records, and one record, before it that are not done."""
RECORD_BYTES = 200
"""What a record counts beside its value."""
INBOX = 64
"""So many things said are kept that were not received; a worker beyond that waits."""


class OtherBuild(M0Error):
    """A worker has other code than the process that started it."""


@dataclass(slots=True)
class _Worker:
    number: int
    link: Link
    batch: list[Record] = field(default_factory=list)
    """What is not sent yet."""
    size: int = 0
    """What the batch counts."""
    sent: deque[int] = field(default_factory=deque)
    """What each batch counts that is sent and not done."""
    before: int = 0
    """All that is not done."""
    heard_s: float = 0.0
    """When it said something, or got something to do after it had nothing, by the loop's time."""

    def send(self, now_s: float) -> None:
        if self.batch:
            if not self.sent:
                self.heard_s = now_s
            self.link.send(Feed(self.batch))
            self.sent.append(self.size)
            self.batch, self.size = [], 0


class Crew:
    """Spreads partitions over workers, in turn as they come up, and keeps it so.

    `receive` must be called while `is_full`, and from time to time: nobody else takes in what the workers say.
    """

    def __init__(self, build: bytes) -> None:
        self._build = build
        self._workers: list[_Worker] = []
        self._has: dict[int, _Worker] = {}
        """By partition."""
        self._saves = 0
        self._over: WorkerLost | OtherBuild | None = None
        self._inbox: asyncio.Queue[tuple[_Worker, FromWorker | WorkerLost | OtherBuild]] = asyncio.Queue(INBOX)
        self._readers: list[asyncio.Task[None]] = []
        self._now_s = asyncio.get_running_loop().time

    @classmethod
    async def start(
        cls, launch: Launch, count: int, begin: Begin, build: bytes, states: Iterable[Restored] = ()
    ) -> "Crew":
        """With `count` workers of this build, whose lanes go on from states of stages 1 to 3. Raises WorkerLost."""
        crew = cls(build)
        try:
            for _ in range(count):
                crew._add(await launch())
            await crew._begin(begin, states)
        except BaseException:
            await crew.stop()
            raise
        return crew

    def _add(self, link: Link) -> None:
        worker = _Worker(len(self._workers), link)
        self._workers.append(worker)
        self._readers.append(asyncio.create_task(self._read(worker)))

    async def _begin(self, begin: Begin, states: Iterable[Restored]) -> None:
        for manifest, entities, _ in sorted(states, key=lambda found: found.manifest.partition):
            link = self._of(manifest.partition).link
            for part in state_parts(manifest, entities):
                link.send(part)
                await link.flushed()
        for worker in self._workers:
            worker.link.send(begin)

    def _of(self, partition: int) -> _Worker:
        return self._has.setdefault(partition, self._workers[len(self._has) % len(self._workers)])

    async def _read(self, worker: _Worker) -> None:
        try:
            while True:
                message = await worker.link.receive()
                worker.heard_s = self._now_s()
                await self._inbox.put((worker, message))
        except WorkerLost as error:
            await self._inbox.put((worker, error))

    def feed(self, record: Record) -> None:
        """Give a record to the worker that has its partition; it may be sent later."""
        worker = self._of(record.partition)
        size = RECORD_BYTES + len(record.value)
        worker.batch.append(record)
        worker.size += size
        worker.before += size
        if len(worker.batch) >= BATCH or worker.before >= WINDOW_BYTES:
            worker.send(self._now_s())

    def flush(self) -> None:
        """Send what was given."""
        for worker in self._workers:
            worker.send(self._now_s())

    @property
    def is_full(self) -> bool:
        """Whether a worker has as much before it as it may."""
        return any(worker.before >= WINDOW_BYTES for worker in self._workers)

    @property
    def works(self) -> bool:
        """Whether a worker has anything before it."""
        return any(worker.before for worker in self._workers)

    @property
    def has_said(self) -> bool:
        """Whether there is something to receive now."""
        return self._over is not None or not self._inbox.empty()

    def stuck(self, limit_s: float) -> str | None:
        """A worker that has been silent for so long with work before it, and nobody keeps it from speaking."""
        now_s = self._now_s()
        for worker in self._workers:
            silent_s = now_s - worker.heard_s
            if worker.sent and silent_s > limit_s and not self._inbox.full():
                return f"worker {worker.number} has not answered for {silent_s:.0f} s: it is stuck, or stopped"
        return None

    def save(self) -> tuple[int, int]:
        """Ask every worker to hand over what changed; returns the number of the answers, and how many will come."""
        self.flush()
        self._saves += 1
        for worker in self._workers:
            worker.link.send(Save(self._saves))
        return self._saves, len(self._workers)

    async def receive(self) -> tuple[int, FromWorker]:
        """The next thing that any worker says, and its number. Raises WorkerLost and OtherBuild, from then on always:
        what is not handed over by all of them is of no use.
        """
        if self._over is not None:
            raise self._over
        worker, message = await self._inbox.get()
        if isinstance(message, Ready) and message.build != self._build:
            message = OtherBuild(
                f"a worker has build {message.build.hex()} and its signer {self._build.hex()}: what is installed was "
                "changed while the signer ran; start it again"
            )
        if isinstance(message, WorkerLost | OtherBuild):
            self._over = message
            raise message
        if isinstance(message, Done):
            worker.before -= worker.sent.popleft()
        return worker.number, message

    async def stop(self) -> None:
        """End all workers."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await asyncio.gather(*(worker.link.stop() for worker in self._workers))
