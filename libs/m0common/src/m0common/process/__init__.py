"""One runner for every process: settings, dependencies, supervised tasks, a drain on SIGTERM, an exit code.

    async def compose(process: Process) -> None:
        broker = await process.enter("Kafka", opened(process.settings.kafka, process.name))
        service = Service(broker, process.clock)
        process.status.ready["service"] = service.problem
        process.task("read", service.run, stop=service.stop)
        process.side("report", service.report)

    if __name__ == "__main__":
        run("service", ("kafka",), compose)

What the runner promises stands in docs/operations/processes.md.
"""

from m0common.process.compose import Compose, Process
from m0common.process.prepare import tune_gc
from m0common.process.run import EXIT_FAILED, EXIT_OK, EXIT_USAGE, lived, run

__all__ = ["EXIT_FAILED", "EXIT_OK", "EXIT_USAGE", "Compose", "Process", "lived", "run", "tune_gc"]
