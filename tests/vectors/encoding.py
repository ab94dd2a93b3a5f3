"""The encoding of a call, from RFC 8949 and the description of the token."""

import struct


class Refused(Exception):
    """The value has no encoding."""


NULL = b"\xf6"
MAX_NESTING = 128


def head(major, number):
    """The first bytes of an item: major type and argument, in the shortest form (RFC 8949, 3)."""
    if number < 24:
        return bytes([major << 5 | number])
    for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << (8 * width):
            return bytes([major << 5 | info]) + number.to_bytes(width, "big")
    raise OverflowError(number)


def integer(number):
    """Major type 0 or 1, and beyond 64 bits tag 2 or 3 (RFC 8949, 3.4.3)."""
    major, argument = (0, number) if number >= 0 else (1, -1 - number)
    if argument < 1 << 64:
        return head(major, argument)
    digits = argument.to_bytes((argument.bit_length() + 7) // 8, "big")
    return head(6, 2 + major) + head(2, len(digits)) + digits


def floating(number):
    """The shortest of the three floats that keeps the value; one NaN (RFC 8949, 4.2.1, 4.2.2)."""
    if number != number:
        return bytes.fromhex("f97e00")
    exactly = struct.pack(">d", number)
    for first, width in ((b"\xf9", ">e"), (b"\xfa", ">f")):
        try:
            packed = struct.pack(width, number)
        except OverflowError:
            continue
        if struct.pack(">d", struct.unpack(width, packed)[0]) == exactly:
            return first + packed
    return b"\xfb" + exactly


def text(string):
    encoded = string.encode("utf-8")
    return head(3, len(encoded)) + encoded


def array(items):
    return head(4, len(items)) + b"".join(items)


def mapping(pairs):
    """Keys in bytewise order of their encodings (RFC 8949, 4.2.1), each once."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise Refused("the same key twice")
    return head(5, len(pairs)) + b"".join(key + value for key, value in sorted(pairs))


def some(content):
    """What the content is; null inside any number of one-element arrays gets one more array."""
    return b"\x81" + content if content.lstrip(b"\x81") == NULL else content


def encode(value):
    """The encoding of a value in the notation of tokens.json."""
    ((kind, what),) = value.items()
    if kind == "bool":
        return b"\xf5" if what else b"\xf4"
    if kind[0] in "ui" and kind[1:].isdigit():
        return integer(int(what))
    if kind == "f64":
        return floating(struct.unpack(">d", bytes.fromhex(what))[0])
    if kind == "f32":
        return floating(struct.unpack(">f", bytes.fromhex(what))[0])
    if kind in ("char", "str"):
        return text(what)
    if kind == "bytes":
        return head(2, len(what) // 2) + bytes.fromhex(what)
    if kind in ("none", "unit", "unit_struct"):
        return NULL
    if kind == "some":
        return some(encode(what))
    if kind == "newtype_struct":
        return encode(what[1])
    if kind in ("seq", "tuple"):
        return array([encode(item) for item in what])
    if kind == "tuple_struct":
        return array([encode(item) for item in what[1]])
    if kind == "nested":
        return b"\x81" * what[0] + encode(what[1])
    if kind == "unordered":
        return array(sorted(encode(item) for item in what))
    if kind == "map":
        return mapping([(encode(key), encode(item)) for key, item in what])
    if kind == "struct":
        return fields(what[1])
    if kind == "unit_variant":
        return text(what[1])
    if kind == "newtype_variant":
        return mapping([(text(what[1]), encode(what[2]))])
    if kind == "tuple_variant":
        return mapping([(text(what[1]), array([encode(item) for item in what[2]]))])
    if kind == "struct_variant":
        return mapping([(text(what[1]), fields(what[2]))])
    raise KeyError(kind)


def fields(pairs):
    return mapping([(text(name), encode(item)) for name, item in pairs])


def nesting(encoding):
    """How deep arrays and maps lie in one another in an encoding."""
    deepest, position, left = 0, 0, []
    while position < len(encoding):
        while left and left[-1] == 0:
            left.pop()
        if left:
            left[-1] -= 1
        major, info = encoding[position] >> 5, encoding[position] & 31
        width = 0 if info < 24 else 1 << (info - 24)
        number = int.from_bytes(encoding[position + 1 : position + 1 + width], "big") if width else info
        position += 1 + width
        if major in (2, 3):
            position += number
        elif major in (4, 5):
            left.append(number * (major - 3))
            deepest = max(deepest, len(left))
        elif major == 6 and left:
            left[-1] += 1  # A tag is no item of its own.
    return deepest


def argument(value):
    encoding = encode(value)
    if nesting(encoding) > MAX_NESTING:
        raise Refused("arrays and maps nest deeper than 128")
    return encoding


def call(scope, function, arguments):
    values = array([argument(value) for value in arguments])
    return array([text("idem/1"), text(scope), text(function), values])
