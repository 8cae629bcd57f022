"""How the demo tells what it does: numbered steps, commands with what they said, and whether that was as it should be."""
import time


class Wrong(Exception):
    pass


def tell(story, steps):
    """All steps, until one goes wrong. → exit status"""
    try:
        for step in steps:
            step()
    except (Wrong, AssertionError) as error:
        print(f"\nThe demo stopped: {error}")
        print(story.lab.logs()[-6000:])
        return 1
    print(f"\nEvery step was as it should be ({time.monotonic() - story.begin:.0f} s).")
    return 0


class Story:
    def __init__(self):
        self.begin, self.number = time.monotonic(), 0

    def step(self, title):
        self.number += 1
        print(f"\n{self.number}. {title}", flush=True)

    def show(self, where, command, output):
        print(f"   {where}$ {command}")
        for line in output.strip().splitlines()[:20]:
            print(f"     {line}")
        print(end="", flush=True)

    def note(self, text):
        print(f"   ({text})", flush=True)

    def expect(self, good, what):
        print(f"   {'ok' if good else 'WRONG'}: {what}", flush=True)
        if not good:
            raise Wrong(what)
