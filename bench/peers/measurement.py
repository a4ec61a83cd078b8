"""What is measured, in the words of `runahead bench steps`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """decode: a step of `rows` sequences; verify: of `rows` rows of one sequence; prefill: a prompt of `rows` tokens.

    Each behind `context` tokens (a decode's grow), `repeats` times.
    """
    kind: str
    rows: int
    context: int
    repeats: int

    def line(self) -> str:
        return f"{self.kind} {self.rows} {self.context} {self.repeats}"

    @property
    def tokens(self) -> int:
        """Of one sequence in the end."""
        return self.context + (self.repeats if self.kind == "decode" else self.rows)

    @property
    def counts_time(self) -> bool:
        """Printed in milliseconds of a step; the others in tokens a second."""
        return self.kind == "verify"


# Groups of rows: one engine measures a whole group in its turn, then it is the next one's.
GROUPS = {
    "decode": [Measurement("decode", rows, 128, 32) for rows in (1, 2, 4, 8, 16, 32)],
    "verify": [Measurement("verify", rows, 128, 16) for rows in (1, 2, 4, 5, 8, 16, 32)],
    "prefill": [Measurement("prefill", rows, 0, 1) for rows in (512, 2048)],
    "context": [Measurement("decode", 1, 4096, 32)],
}
