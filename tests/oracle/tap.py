"""tests/oracle/tap.py - TAP for the scripts here: ok(...) a check, at last done()"""
import sys

count = failed = 0


def ok(good, name, told="", why=""):
    """told stands beside the name in any case, why if it is not good."""
    global count, failed
    count += 1
    failed += not good
    beside = " ".join(x for x in (told, "" if good else why) if x)
    print(f"{'ok' if good else 'not ok'} {count} - {name}" + (f" ({beside})" if beside else ""), flush=True)


def done():
    print(f"1..{count}")
    sys.exit(failed > 0)
