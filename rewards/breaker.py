"""Whether a judge may be asked just now: a circuit breaker, as a state machine with a clock."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_S = 30.0
"""Between two probes of a judge that is down."""
POLL_S = 0.2
"""How soon to look again while somebody else's probe is out."""


class JudgeDown(Exception):
    """The judge has been failing for longer than one is to wait for it."""


@dataclass(slots=True)
class Breaker:
    """Closed until `threshold` faults in a row; then open for `cool_down_s`, doubled at each failed
    probe up to `longest_s`. When that time is over one caller goes ahead as a probe; its success
    closes the circuit. Others wait, but not after the judge has been down for `patience_s`.

    A server that says when to come back (429) is believed: nobody asks before that.
    """

    patience_s: float
    threshold: int = 5
    cool_down_s: float = 1.0
    longest_s: float = LONGEST_S
    faults: int = 0
    down_since: float | None = None
    cause: str = ""
    _opens_at: float = 0.0
    _cool_down: float = 0.0
    _probing: bool = False
    _paused_until: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.down_since is not None

    def wait_s(self, now: float) -> float:
        """Seconds to wait before asking again; 0: go ahead, and tell how it went.

        Raises:
            JudgeDown: it has been down for too long to wait for it.
        """
        if now < self._paused_until:
            return self._paused_until - now
        if self.down_since is None:
            return 0.0
        if not self._probing and now >= self._opens_at:
            self._probing = True
            return 0.0
        if now - self.down_since > self.patience_s:
            raise JudgeDown(f"for {now - self.down_since:.0f} s; at last: {self.cause}")
        return max(POLL_S, self._opens_at - now)

    def succeeded(self) -> None:
        """An answer came, whatever it says."""
        self.faults, self.down_since, self._cool_down, self._probing = 0, None, 0.0, False

    def failed(self, now: float, cause: str) -> None:
        """No answer came."""
        self.faults += 1
        self.cause = cause
        if self._probing or (self.faults >= self.threshold and not self.is_open):
            self._cool_down = min(self.longest_s, 2 * self._cool_down or self.cool_down_s)
            self._opens_at = now + self._cool_down
            self._probing = False
            if self.down_since is None:
                self.down_since = now

    def pause(self, now: float, seconds: float) -> None:
        """The server asked to be left alone for so long."""
        self._paused_until = max(self._paused_until, now + seconds)
