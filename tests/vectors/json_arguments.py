#!/usr/bin/env python3
"""Makes random arguments as JSON, and the token of each call: for programs that read arguments from JSON.

Each line of the output is one call, as JSON: `scope`, `function`, `arguments` (the text of a JSON array) and `token`,
which is null where the text must be refused. The encoding is that of encoding.py.

    json_arguments.py COUNT SEED
"""

import hashlib
import json
import random
import sys

sys.dont_write_bytecode = True

from encoding import NULL, Refused, array, floating, integer, mapping, nesting, text  # noqa: E402

ALPHABET = 'aäß→😀\u0000\u001f"\\/\u007f\u2028𝒳 zZ09é\n\t'


def word(rng):
    return "".join(rng.choice(ALPHABET) for _ in range(rng.choice((0, 1, 3, 10, 30))))


def whole(rng):
    bits = rng.choice((1, 5, 8, 16, 32, 53, 54, 63, 64, 65, 127, 128))
    number = rng.getrandbits(bits)
    edge = rng.choice((0, 0, 1, -1))
    if rng.random() < 0.3:
        number = (1 << bits) - 1 + min(edge, 0)
    if rng.random() < 0.4:
        number = max(-number, -(1 << 127))
    return number


def fraction(rng):
    return rng.choice(
        (
            0.0,
            -0.0,
            1.0,
            0.1,
            1e300,
            5e-324,
            float(rng.getrandbits(30)),
            rng.random(),
            rng.uniform(-1e6, 1e6),
            rng.getrandbits(11) / 2.0 ** rng.randrange(0, 24),
            rng.random() * 10.0 ** rng.randrange(-300, 300),
        )
    )


def value(rng, depth):
    kind = rng.randrange(8 if depth > 0 else 5)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return whole(rng)
    if kind == 2:
        return fraction(rng)
    if kind in (3, 4):
        return word(rng)
    if kind in (5, 6):
        return [value(rng, depth - 1) for _ in range(rng.choice((0, 1, 2, 5)))]
    return {word(rng): value(rng, depth - 1) for _ in range(rng.choice((0, 1, 2, 5, 30)))}


def deep(rng, depth):
    inner = value(rng, 0)
    for _ in range(depth):
        inner = [inner] if rng.random() < 0.5 else {word(rng): inner}
    return inner


def encode(value):
    if value is None:
        return NULL
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return floating(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return array([encode(item) for item in value])
    return mapping([(text(key), encode(item)) for key, item in value.items()])


def number(rng, value):
    """One of the ways in which JSON writes a float."""
    plain = repr(value)
    if "e" in plain and "." not in plain and rng.random() < 0.5:
        return plain.replace("e", ".0E")
    if "e" not in plain and rng.random() < 0.3:
        return plain + rng.choice(("0", "e0", "E+0", "e-0"))
    return plain


def written(rng, value):
    """One of the ways in which JSON writes a value: spaces, escapes and order are free."""
    space = rng.choice(("", "", " ", "\n\t"))
    if isinstance(value, float):
        return number(rng, value)
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return rng.choice(("0", "-0"))
    if isinstance(value, list):
        return "[" + space + ("," + space).join(written(rng, item) for item in value) + space + "]"
    if isinstance(value, dict):
        items = list(value.items())
        rng.shuffle(items)
        entries = (json.dumps(key) + space + ":" + space + written(rng, item) for key, item in items)
        return "{" + space + ("," + space).join(entries) + space + "}"
    return json.dumps(value, ensure_ascii=rng.random() < 0.5)


def refused(rng):
    """A text that has no encoding."""
    wrong = rng.choice(
        (
            '{"a":1,"b":2,"\\u0061":3}',
            '"\\ud800"',
            '"\\udc00x"',
            '"\\ud83d\\u0041"',
            str(1 << 128),
            str(-(1 << 127) - 1),
            "1e400",
            "[" * 129 + "]" * 129,
            "01",
            "NaN",
            "-Infinity",
            "'a'",
            "[1,]",
            "1.",
            '"\n"',
        )
    )
    return "[" + ",".join((written(rng, value(rng, 1)), wrong)) + "]"


def calls(count, seed):
    rng = random.Random(seed)
    for index in range(count):
        call = {"scope": word(rng) if rng.random() < 0.3 else "", "function": f"{word(rng)}.{index}"}
        if index % 20 == 19:
            yield call | {"arguments": refused(rng), "token": None}
            continue
        arguments = [value(rng, 4) for _ in range(rng.randrange(4))]
        if index % 20 == 18:
            arguments.append(deep(rng, rng.choice((60, 127, 128))))
        encodings = [encode(argument) for argument in arguments]
        for encoding in encodings:
            if nesting(encoding) > 128:
                raise Refused("arrays and maps nest deeper than 128")
        whole_call = array([text("idem/1"), text(call["scope"]), text(call["function"]), array(encodings)])
        token = hashlib.sha256(whole_call).hexdigest()
        yield call | {"arguments": written(rng, arguments), "token": token}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for call in calls(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(call))


if __name__ == "__main__":
    main()
