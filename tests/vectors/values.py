"""The calls whose tokens are in tokens.json, and values that no call can have."""

import struct
import sys

from encoding import encode


def u64(number):
    return {"u64": str(number)}


def i64(number):
    return {"i64": str(number)}


def f64(number):
    return {"f64": struct.pack(">d", number).hex()}


def f32(number):
    return {"f32": struct.pack(">f", number).hex()}


def string(content):
    return {"str": content}


def maybe(levels, value):
    for _ in range(levels):
        value = {"some": value}
    return value


NONE = {"none": None}
UNIT = {"unit": None}


def integers():
    edges = [0, 1, 10, 23, 24, 25, 100, 255, 256, 257, 1000, 65535, 65536, 1000000]
    edges += [2**31 - 1, 2**32 - 1, 2**32, 10**12, 2**53, 2**53 + 1, 2**63 - 1]
    for number in edges + [2**63, 2**64 - 1]:
        yield f"u64 {number}", u64(number)
    for number in edges:
        yield f"i64 {-1 - number}", i64(-1 - number)
    for number in (0, 24, 2**63 - 1):
        yield f"i64 {number}", i64(number)
    for bits in (8, 16, 32):
        yield f"largest u{bits}", {f"u{bits}": str(2**bits - 1)}
        yield f"largest i{bits}", {f"i{bits}": str(2 ** (bits - 1) - 1)}
        yield f"smallest i{bits}", {f"i{bits}": str(-(2 ** (bits - 1)))}
    for number in (0, 7, 2**64 - 1, 2**64, 2**64 + 1, 2**72 - 1, 2**72, 2**127, 2**128 - 1):
        yield f"u128 {number}", {"u128": str(number)}
    for number in (0, 7, -1, 2**63, 2**64, 2**127 - 1, -(2**63) - 1, -(2**64), -(2**64) - 1):
        yield f"i128 {number}", {"i128": str(number)}
    for number in (-(2**72), -(2**72) - 1, -(2**127)):
        yield f"i128 {number}", {"i128": str(number)}


def floats():
    yield "float zero", f64(0.0)
    yield "float minus zero", f64(-0.0)
    for number in (1.0, -1.0, 1.5, 0.1, 3.14, 1e300, -4.1, 100000.0, 16777216.0, 16777217.0):
        yield f"float {number!r}", f64(number)
    for name, exponent in (
        ("smallest 16-bit subnormal", -24),
        ("half of the smallest 16-bit subnormal", -25),
        ("smallest 16-bit normal", -14),
        ("smallest 32-bit subnormal", -149),
        ("half of the smallest 32-bit subnormal", -150),
        ("smallest 32-bit normal", -126),
        ("smallest 64-bit normal", -1022),
        ("smallest 64-bit subnormal", -1074),
        ("first power of two beyond 16 bits", 16),
        ("first power of two beyond 32 bits", 128),
        ("largest power of two of 64 bits", 1023),
    ):
        yield name, f64(2.0**exponent)
        yield f"minus the {name}", f64(-(2.0**exponent))
    for name, number in (
        ("largest 16-bit subnormal", 1023 * 2.0**-24),
        ("a 16-bit subnormal and a half", 1.5 * 2.0**-24),
        ("an odd 16-bit subnormal", 333 * 2.0**-24),
        ("largest 16-bit float", 65504.0),
        ("one beyond the largest 16-bit float", 65505.0),
        ("eleven bits of precision", 2047.0),
        ("twelve bits of precision", 4095.0),
        ("eleven bits below one", 1 - 2.0**-11),
        ("twelve bits below one", 1 - 2.0**-12),
        ("largest 32-bit subnormal", (2.0**23 - 1) * 2.0**-149),
        ("largest 32-bit float", (2.0**24 - 1) * 2.0**104),
        ("24 bits of precision", 2.0**24 - 1),
        ("25 bits of precision", 2.0**25 - 1),
        ("largest 64-bit float", sys.float_info.max),
        ("infinity", float("inf")),
        ("minus infinity", float("-inf")),
    ):
        yield name, f64(number)
    for bits in ("7ff8000000000000", "7ff8000000000001", "fff8000000000000", "7ff0000000000001"):
        yield f"NaN {bits}", {"f64": bits}
    for number in (0.0, -0.0, 0.1, 1.5, 65504.0, 65520.0, 2.0**-24, 2.0**-149, float("inf")):
        yield f"f32 {number!r}", f32(number)
    for bits in ("7fc00000", "ffc00001", "7f800001"):
        yield f"f32 NaN {bits}", {"f32": bits}


def texts():
    for length in (0, 1, 23, 24, 255, 256, 1000):
        yield f"text of {length}", string("x" * length)
    for name, content in (
        ("precomposed", "caf\u00e9"),
        ("decomposed", "cafe\u0301"),
        ("an emoji of several characters", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
        ("right to left", "\u05e9\u05dc\u05d5\u05dd"),
        ("twelve characters, 24 bytes", "\u00e9" * 12),
        ("zero", "\u0000"),
        ("quotes and line ends", '"\\\r\n\t'),
        ("last character", "\U0010ffff"),
        ("around the surrogates", "\ud7ff\ue000"),
        ("looks like null", "null"),
    ):
        yield f"text: {name}", string(content)
    for character in ("a", "\u0000", "\u00df", "\u20ac", "\U0001f600"):
        yield f"character U+{ord(character):04X}", {"char": character}
    for length in (0, 1, 23, 24, 256):
        content = bytes(index % 256 for index in range(length))
        yield f"{length} bytes", {"bytes": content.hex()}


def options():
    yield "false", {"bool": False}
    yield "true", {"bool": True}
    yield "unit", UNIT
    yield "unit struct", {"unit_struct": "Nothing"}
    yield "none", NONE
    yield "some text", maybe(1, string("x"))
    yield "some empty text", maybe(1, string(""))
    yield "some zero", maybe(3, u64(0))
    for levels in range(1, 6):
        yield f"none in {levels} options", maybe(levels, NONE)
        yield f"unit in {levels} options", maybe(levels, UNIT)
    yield "unit struct in an option", maybe(1, {"unit_struct": "Nothing"})
    yield "an array of none", {"seq": [NONE]}
    yield "an array of none, in an option", maybe(1, {"seq": [NONE]})
    yield "an array of none, in two options", maybe(2, {"seq": [NONE]})
    yield "an array of some none", {"seq": [maybe(1, NONE)]}
    yield "an array of some none, in two options", maybe(2, {"seq": [maybe(1, NONE)]})
    yield "two arrays of none, in an option", maybe(1, {"seq": [{"seq": [NONE]}]})
    yield "two of none, in an option", maybe(1, {"seq": [NONE, NONE]})
    yield "an empty array in an option", maybe(2, {"seq": []})
    yield "a tuple of none, in two options", maybe(2, {"tuple": [NONE]})
    yield "a newtype of none, in an option", maybe(1, {"newtype_struct": ["Id", NONE]})
    yield "an option in a newtype in an option", maybe(
        1, {"newtype_struct": ["Id", maybe(1, {"newtype_struct": ["Id", NONE]})]}
    )
    yield "a map with none, in an option", maybe(1, {"map": [[NONE, NONE]]})
    yield "a variant of none, in an option", maybe(1, {"newtype_variant": ["E", "V", NONE]})
    yield "options in a struct", {
        "struct": ["S", [["a", NONE], ["b", maybe(1, NONE)], ["c", maybe(2, NONE)], ["d", maybe(1, u64(1))]]]
    }
    yield "null in 127 arrays, in an option", maybe(1, {"nested": [127, UNIT]})


def collections():
    for length in (0, 1, 23, 24, 256):
        yield f"{length} elements", {"seq": [u64(index) for index in range(length)]}
    yield "a tuple", {"tuple": [u64(1), string("a"), {"bool": True}, NONE]}
    yield "a tuple struct", {"tuple_struct": ["Point", [i64(-1), f64(2.5)]]}
    yield "a newtype struct", {"newtype_struct": ["OrderId", u64(7)]}
    yield "128 arrays", {"nested": [128, u64(1)]}
    yield "elements in no order", {"unordered": [u64(300), u64(2), i64(-1), u64(1), u64(24)]}
    yield "texts in no order", {"unordered": [string(content) for content in ("bb", "a", "", "ccc", "ab", "c")]}
    yield "long texts in no order", {
        "unordered": [string(content) for content in ("customer-2", "customer-1", "customer-10")]
    }
    yield "a set of sets", {
        "unordered": [{"unordered": [u64(2), u64(1)]}, {"unordered": []}, {"unordered": [u64(500), u64(3)]}]
    }
    yield "equal elements in no order", {"unordered": [u64(1), u64(2), u64(1)]}
    yield "an empty set", {"unordered": []}


def maps():
    def keys(*pairs):
        return {"map": [[key, value] for key, value in pairs]}

    yield "an empty map", keys()
    yield "text keys", keys((string("b"), u64(1)), (string("a"), u64(2)))
    yield "text keys, a short one behind", keys((string("aa"), u64(1)), (string("b"), u64(2)))
    yield "not by length first: 1000 and b", keys((u64(1000), u64(1)), (string("b"), u64(2)))
    yield "not by length first: 100 and -1", keys((u64(100), u64(1)), (i64(-1), u64(2)))
    yield "integer keys", keys(*[(i64(number), i64(-number)) for number in (-300, -25, -1, 0, 1, 23, 24, 300)])
    yield "large integer keys", keys(
        ({"u128": str(2**64)}, u64(1)), (u64(2**64 - 1), u64(2)), ({"i128": str(-(2**64) - 1)}, u64(3))
    )
    yield "float keys", keys((f64(1.5), u64(1)), (f64(0.1), u64(2)), (f32(100000.0), u64(3)), (f64(-0.0), u64(4)))
    yield "keys of all kinds", keys(
        (string("10"), u64(1)),
        (u64(10), u64(2)),
        (i64(-10), u64(3)),
        ({"bytes": "3130"}, u64(4)),
        ({"bool": False}, u64(5)),
        ({"bool": True}, u64(6)),
        (NONE, u64(7)),
        (maybe(1, NONE), u64(8)),
        (f64(10.0), u64(9)),
        ({"tuple": [u64(1), u64(2)]}, u64(10)),
        ({"tuple": [u64(1)]}, u64(11)),
        (keys((u64(1), u64(2))), u64(12)),
        (keys(), u64(13)),
        ({"unit_variant": ["Color", "Red"]}, u64(14)),
        ({"newtype_variant": ["Color", "Gray", u64(50)]}, u64(15)),
        ({"u128": str(2**100)}, u64(16)),
    )
    yield "tuple keys", keys(*[({"tuple": [u64(a), string(b)]}, NONE) for a in (2, 1, 30) for b in ("z", "", "ab")])
    yield "keys alike in their first eight bytes", keys(
        *[(string(key), u64(len(key))) for key in ("customer", "customer_b", "customer_a", "customes_a", "customer_aa")]
    )
    for count in (23, 24, 25, 40, 256, 300):
        order = [(index * 7919 + 13) % count for index in range(count)]
        if len(set(order)) == count:
            yield f"{count} integer keys", keys(*[(u64(index), UNIT) for index in order])
            yield f"{count} text keys", keys(*[(string(f"key-{index}"), u64(index)) for index in order])
    yield "map in map", keys(
        (string("z"), keys((string("y"), u64(1)), (string("x"), u64(2)))),
        (string("a"), keys((u64(2), u64(1)), (u64(1), u64(2)))),
    )


def structs():
    yield "a struct", {"struct": ["S", [["id", u64(1)], ["name", string("x")], ["tag", NONE]]]}
    yield "a struct in another order", {"struct": ["S", [["name", string("x")], ["tag", NONE], ["id", u64(1)]]]}
    yield "a struct without fields", {"struct": ["Empty", []]}
    yield "fields alike in their first letters", {
        "struct": ["S", [["created_by", u64(1)], ["created_at", u64(2)], ["created", u64(3)], ["updated_at", u64(4)]]]
    }
    yield "a long name of a field", {"struct": ["S", [["x" * 30, u64(1)], ["y" * 23, u64(2)], ["x" * 24, u64(3)]]]}
    yield "names beyond ASCII", {"struct": ["S", [["\u00e9", u64(1)], ["z", u64(2)], ["zz", u64(3)], ["\u00df", u64(4)]]]}
    yield "30 fields", {"struct": ["S", [[f"field_{(index * 11) % 30}", u64(index)] for index in range(30)]]}
    address = {"struct": ["Address", [["street", string("Long Street 1")], ["zip", string("10115")], ["city", string("B")]]]}
    item = {"struct": ["Item", [["sku", string("A-1")], ["quantity", {"u32": "2"}], ["price_cents", u64(1999)]]]}
    yield "an order", {
        "struct": [
            "Order",
            [
                ["order_id", u64(81726354)],
                ["customer", string("Ann Example")],
                ["email", string("ann@example.com")],
                ["currency", string("EUR")],
                ["amount_cents", u64(129900)],
                ["express", {"bool": True}],
                ["note", NONE],
                ["weight", f64(1.5)],
                ["address", address],
                ["items", {"seq": [item, item]}],
                ["method", {"struct_variant": ["Method", "Card", [["last4", string("4242")], ["exp", string("12/30")]]]}],
                ["created_at", i64(1700000000)],
            ],
        ]
    }
    yield "a unit variant", {"unit_variant": ["Color", "Red"]}
    yield "a newtype variant", {"newtype_variant": ["Color", "Gray", {"u8": "50"}]}
    yield "a newtype variant of unit", {"newtype_variant": ["Color", "Red", UNIT]}
    yield "a tuple variant", {"tuple_variant": ["Color", "Rgb", [{"u8": "1"}, {"u8": "2"}, {"u8": "3"}]]}
    yield "a tuple variant without values", {"tuple_variant": ["Color", "Rgb", []]}
    yield "a struct variant", {"struct_variant": ["Color", "Hsv", [["hue", u64(1)], ["saturation", u64(2)], ["v", u64(3)]]]}
    yield "a struct variant without fields", {"struct_variant": ["Color", "Hsv", []]}
    yield "a variant in a variant", {"newtype_variant": ["Outer", "In", {"newtype_variant": ["Inner", "In", u64(1)]}]}
    yield "a variant in options", maybe(2, {"unit_variant": ["Color", "Red"]})


class Random:
    """SplitMix64: the same numbers with every version of Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state + 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        return (z ^ (z >> 31)) % limit

    def pick(self, choices):
        return choices[self.below(len(choices))]

    def integer(self, bits):
        """Of up to so many bits, and often of much fewer."""
        wide = self.below(2**64) << 64 | self.below(2**64)
        return wide >> (128 - bits) >> self.below(bits)

    def text(self):
        alphabets = ("abcdefghij_", "\u00e0\u00e9\u00ef\u00f8\u00fc", "\u4e2d\u6587\u5b57", "\U0001f600\U0001f601", " \"\\\n")
        return "".join(self.pick(self.pick(alphabets)) for _ in range(self.below(self.pick((3, 10, 40)))))

    def name(self):
        return self.pick(("id", "name", "amount", "created_at", "created_by", "a", "b", "customer_address", "items"))

    def value(self, depth):
        if depth == 0 or self.below(3) == 0:
            return self.leaf()
        kind = self.pick(("some", "seq", "tuple", "map", "struct", "newtype", "variant", "fields", "unordered"))
        values = [self.value(depth - 1) for _ in range(self.below(5))]
        if kind == "some":
            return maybe(1 + self.below(3), self.value(depth - 1))
        if kind in ("seq", "tuple", "unordered"):
            return {kind: values}
        if kind == "map":
            pairs = {encode(key): [key, value] for key, value in zip([self.value(1) for _ in values], values)}
            return {"map": list(pairs.values())}
        if kind == "newtype":
            return {"newtype_struct": ["Wrapper", self.value(depth - 1)]}
        if kind == "variant":
            return self.pick(
                (
                    {"newtype_variant": ["Kind", "Wraps", self.value(depth - 1)]},
                    {"tuple_variant": ["Kind", "Holds", values]},
                    {"unit_variant": ["Kind", "Plain"]},
                )
            )
        pairs = {self.name(): value for value in values}
        pairs = [[name, value] for name, value in pairs.items()]
        return {"struct": ["Record", pairs]} if kind == "struct" else {"struct_variant": ["Kind", "Has", pairs]}

    def leaf(self):
        kind = self.pick(
            ("u8", "i8", "u32", "i32", "u64", "i64", "u128", "i128", "f32", "f64", "str", "str", "char", "bytes")
            + ("bool", "none", "unit")
        )
        if kind[0] == "u" and kind[1:].isdigit():
            return {kind: str(self.integer(int(kind[1:])))}
        if kind[0] == "i":
            number = self.integer(int(kind[1:]) - 1)
            return {kind: str(self.pick((number, -1 - number)))}
        if kind == "f32":
            return self.pick((f32(self.integer(16) / 8), {"f32": f"{self.below(2**32):08x}"}))
        if kind == "f64":
            return self.pick((f64(self.integer(20) / 32), {"f64": f"{self.below(2**64):016x}"}))
        if kind == "str":
            return string(self.text())
        if kind == "char":
            return {"char": (self.text() + "c")[0]}
        if kind == "bytes":
            return {"bytes": bytes(self.below(256) for _ in range(self.below(20))).hex()}
        return {"bool": bool(self.below(2))} if kind == "bool" else {kind: None}


def calls():
    """Name, scope, function and arguments. One function has one number of arguments."""
    signature = "shop::charge(order_id: u64, who: String)"
    yield "the vector of the description", "", signature, [u64(7), string("ann")]
    yield "a scope", "tenant-1", signature, [u64(7), string("ann")]
    yield "a scope and an empty text", "7", signature, [u64(0), string("")]
    yield "a scope beyond ASCII", "M\u00fcnchen/\u6771\u4eac", "orders.charge", [u64(7)]
    yield "a long scope", "t" * 300, "orders.charge", [u64(7)]
    yield "a function beyond ASCII", "", "bestellung.\u00e4ndern", [u64(7)]
    yield "a generic function", "", "shop::store(item: T)<u32>", [u64(7)]
    yield "no arguments", "", "jobs.nightly", []
    yield "no arguments, a scope", "eu", "jobs.nightly", []
    for count in (3, 23, 24, 25, 256):
        yield f"{count} arguments", "", f"vectors.of_{count}", [u64(index) for index in range(count)]
    for source in (integers, floats, texts, options, collections, maps, structs):
        for name, value in source():
            yield name, "", "vectors.one", [value]
    random = Random(2026)
    for index in range(120):
        count = random.below(4)
        scope = random.text() if random.below(2) else ""
        yield f"random {index}", scope, f"vectors.random_{count}", [random.value(4) for _ in range(count)]


def refused():
    """Values that have no encoding: the call must fail before its body."""
    yield "a key twice", {"map": [[string("a"), u64(1)], [string("b"), u64(2)], [string("a"), u64(3)]]}
    yield "a key twice, written differently", {"map": [[u64(1), u64(1)], [i64(1), u64(2)]]}
    yield "a NaN twice", {"map": [[f64(float("nan")), u64(1)], [f32(float("nan")), u64(2)]]}
    yield "a long key twice", {"map": [[string("customer-1"), u64(1)], [string("customer-1"), u64(1)]]}
    yield "a key twice among many", {"map": [[u64(index % 50), u64(1)] for index in range(51)]}
    yield "a field twice", {"struct": ["S", [["a", u64(1)], ["b", u64(2)], ["a", u64(2)]]]}
    yield "a field twice in a variant", {"struct_variant": ["E", "V", [["a", u64(1)], ["a", u64(1)]]]}
    yield "129 arrays", {"nested": [129, u64(1)]}
    yield "128 arrays in a map", {"map": [[u64(1), {"nested": [128, u64(1)]}]]}
    yield "127 arrays in a tuple variant", {"tuple_variant": ["E", "V", [{"nested": [127, u64(1)]}]]}
    yield "null in 128 arrays, in an option", maybe(1, {"nested": [128, UNIT]})
