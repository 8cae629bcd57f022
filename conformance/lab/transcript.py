"""What a test did, line by line with times; printed only when the test fails."""
import sys
import time

MAX_LINES = 600
MAX_TEXT = 2000


class Transcript:
    def __init__(self):
        self._start = time.monotonic()
        self._lines = []
        self._dropped = 0
        self.live = False

    def say(self, text):
        text = str(text)
        if len(text) > MAX_TEXT:
            text = text[:MAX_TEXT] + f" … ({len(text)} characters)"
        # A poll repeats one line many times; counting keeps the rest readable.
        if self._lines and self._lines[-1][1] == text:
            self._lines[-1][2] += 1
            return
        self._lines.append([time.monotonic() - self._start, text, 1])
        if self.live:
            print(f"      {self._lines[-1][0]:7.3f}  {text}", file=sys.stderr, flush=True)
        if len(self._lines) > MAX_LINES:
            del self._lines[MAX_LINES // 4]
            self._dropped += 1

    def result(self, where, command, outcome):
        self.say(f"{where}$ {command}\n" + "\n".join("      " + line for line in outcome.rstrip().splitlines()))

    def text(self):
        lines = [f"{at:9.3f}  {text}" + (f"   (×{count})" if count > 1 else "") for at, text, count in self._lines]
        if self._dropped:
            lines.insert(MAX_LINES // 4, f"           … {self._dropped} lines left out …")
        return "\n".join(lines)
