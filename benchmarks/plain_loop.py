"""The tool and a plain loop, measured in turn: what both see of the same machine."""

from dataclasses import dataclass, field

import numpy as np

from mnistkit.bundle import Bundle
from mnistkit.runtimes import RUNTIMES
from mnistkit_bench.deadline import wilson_interval
from mnistkit_bench.jobs import Job, JobResult
from mnistkit_bench.samples import all_samples, pool

ARTIFACT = "model.int8.tflite"
LONG_NANOSECONDS = 1_000_000


@dataclass
class PlainLoop:
    """The tool and a plain loop, measured in turn in several runs."""

    ratios: list[float] = field(default_factory=list)  # of the idle p50
    long: list[int] = field(default_factory=lambda: [0, 0])  # samples over 1 ms of the tool and of the loop
    samples: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, results: list[JobResult]) -> None:
        """Add a run."""
        self.ratios.append(results[0].median_latency() / results[1].median_latency())
        for number, result in enumerate(results):
            nanoseconds = pool(all_samples(result.rounds))
            self.long[number] += int(np.count_nonzero(nanoseconds > LONG_NANOSECONDS))
            self.samples[number] += len(nanoseconds)

    def shares(self) -> str:
        """The shares of samples over 1 ms, and whether their binomial intervals overlap."""
        tool, loop = (wilson_interval(*counts) for counts in zip(self.long, self.samples, strict=True))
        texts = [f"{count / total:.3%}" for count, total in zip(self.long, self.samples, strict=True)]
        return f"{texts[0]} and {texts[1]}: {'agree' if tool.overlaps(loop) else 'differ'}"


def job(bundle: Bundle, module: str = "mnistkit_bench.worker") -> Job:
    """The int8 TFLite artifact on LiteRT."""
    return Job(bundle.path / ARTIFACT, RUNTIMES["litert"], bundle.path / "testset.npz", module=module)
