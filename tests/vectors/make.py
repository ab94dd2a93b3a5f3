#!/usr/bin/env python3
"""Makes tokens.json: calls, and the token that each of them has.

Any language can read that file and compare: the same scope, function and arguments must give the
same encoding and the same token. This script needs Python 3 and nothing else. It was written from
RFC 8949 (section 4.2.1, core deterministic encoding) and from the description of the token, not
from the library's code, so that neither repeats a mistake of the other.

    make.py           writes tokens.json beside this file
    make.py --check   says whether tokens.json is what this script makes (exit code 1 if not)
"""

import hashlib
import json
import pathlib
import sys

sys.dont_write_bytecode = True

from encoding import Refused, argument, call  # noqa: E402
from values import calls, refused  # noqa: E402

FILE = pathlib.Path(__file__).with_name("tokens.json")

NOTATION = {
    "bool": "true or false",
    "u8, u16, u32, u64, u128, i8, i16, i32, i64, i128": "an integer of that width, as text",
    "f32, f64": "a float of that width: its bits, in hexadecimal",
    "char": "one character",
    "str": "a text",
    "bytes": "a byte string, in hexadecimal",
    "none": "an option without a value (null)",
    "some": "an option with this value",
    "unit, unit_struct": "nothing (null), or the name of a struct without fields",
    "newtype_struct": "[name, content]",
    "seq, tuple": "an array of values",
    "tuple_struct": "[name, values]",
    "nested": "[n, value]: n arrays of one element, one in another, around the value",
    "unordered": "the elements of a set, in no order",
    "map": "pairs [key, value], in no order",
    "struct": "[name, pairs [field, value] in the order in which they are written down]",
    "unit_variant": "[enum, variant]",
    "newtype_variant": "[enum, variant, content]",
    "tuple_variant": "[enum, variant, values]",
    "struct_variant": "[enum, variant, pairs [field, value]]",
}


def made():
    vectors = []
    for name, scope, function, arguments in calls():
        encoding = call(scope, function, arguments)
        vectors.append(
            {
                "name": name,
                "scope": scope,
                "function": function,
                "arguments": arguments,
                "encoding": encoding.hex(),
                "token": hashlib.sha256(encoding).hexdigest(),
            }
        )
    assert vectors[0]["encoding"] == (
        "84666964656d2f3160782873686f703a3a636861726765286f726465725f69643a207536342c2077686f3a20537472696e6729820763616e6e"
    )
    assert vectors[0]["token"] == "6be7b1e2193e236149ff6cb471d5b6d8131c45089e0bf98b550542557eb716fe"
    without = []
    for name, value in refused():
        try:
            argument(value)
        except Refused as why:
            without.append({"name": name, "value": value, "why": str(why)})
        else:
            raise AssertionError(f"{name}: not refused")
    names = [vector["name"] for vector in vectors + without]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)

    def lines(entries):
        return ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)

    about = "Made by make.py. The token of each call, and the values that no call can have."
    return (
        f'{{"about":{json.dumps(about)},\n"notation":{json.dumps(NOTATION, indent=1)},\n'
        f'"vectors":[\n{lines(vectors)}\n],\n"refused":[\n{lines(without)}\n]}}\n'
    ), len(vectors), len(without)


def main():
    content, vectors, without = made()
    if sys.argv[1:] == ["--check"]:
        if not FILE.exists() or FILE.read_bytes() != content.encode("ascii"):
            sys.exit(f"{FILE} is not what make.py makes: run make.py, and look at what changed")
        print(f"{vectors} vectors and {without} refused values are as make.py makes them")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        FILE.write_bytes(content.encode("ascii"))
        print(f"wrote {vectors} vectors and {without} refused values to {FILE}")


if __name__ == "__main__":
    main()
