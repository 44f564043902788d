"""Protocol buffers of which some fields are read: their declaration as data, no generated code."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from learned_sim_env.optional import require

# Name of a type in a declaration -> its number in descriptor.proto.
TYPES = {"double": 1, "float": 2, "int64": 3, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "enum": 5}


def message_classes(package: str, declaration: dict[str, dict[str, tuple[int, str]]]) -> dict[str, Any]:
    """Classes of messages by name.

    declaration: by message, by field: its number and its type, a name in `TYPES` or of another message; "repeated "
    before it for lists. Fields that are not declared are skipped when a message is read. Enumerations are numbers.
    """
    return _classes(
        package, tuple((m, tuple((f, *how) for f, how in fields.items())) for m, fields in declaration.items())
    )


@lru_cache(maxsize=8)
def _classes(package: str, declaration: tuple) -> dict[str, Any]:
    require("google.protobuf", extra="recordings")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    for name, fields in declaration:
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            repeated, _, kind = kind.rpartition(" ")
            added = message.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in TYPES:
                added.type = TYPES[kind]
            else:
                added.type, added.type_name = 11, f".{package}.{kind}"
    # A pool of its own: a program may have loaded the generated code of the same messages.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name, _ in declaration
    }
