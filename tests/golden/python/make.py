"""Prints the line tables of odd code and which lines CPython itself reads from them.

    python3.X make.py > tests/golden/python/3.X.txt      once a version, by that version

A line a code object: its first line, its table in hex (co_lnotab up to 3.9), then AT:LINE for
every instruction, 0 where it has none.
"""
import dis
import sys

SOURCE = '''
def jumps():
    x = (
        1,

        call(2,
             3))
    return [y
            for y in x
            if y]
''' + "\n" * 300 + '''
async def guarded(a, b=lambda: (
        0)):
    try:
        with a as c, b() as d:
            async for e in c:
                yield e
    except (ValueError,
            KeyError) as f:
        raise TypeError(
            f) from None
    finally:
        while a:
            if b: continue
            break
        else:
            del c
    assert a, (
        b)

class Kept(
        object,
        metaclass=type):
    one = 1; two = 2
    @property
    def long(self):
''' + "".join(f"        self.a{i} = {i}\n" for i in range(200)) + "\n" * 130 + '''
        return (lambda: (yield))
'''


def codes_of(code):
    yield code
    for const in code.co_consts:
        if hasattr(const, "co_code"):
            yield from codes_of(const)


def lines_of(code):
    """[(offset, line or 0)] of every instruction."""
    if hasattr(code, "co_lines"):
        return [(at, line or 0) for start, end, line in code.co_lines() for at in range(start, end, 2)]
    starts, line, lines = dict(dis.findlinestarts(code)), code.co_firstlineno, []
    for at in range(0, len(code.co_code), 2):
        line = starts.get(at, line)
        lines.append((at, line))
    return lines


for made in codes_of(compile(SOURCE, "odd", "exec")):
    table = made.co_lnotab if sys.version_info < (3, 10) else made.co_linetable
    print(made.co_firstlineno, table.hex() or "-", *(f"{at}:{line}" for at, line in lines_of(made)))
