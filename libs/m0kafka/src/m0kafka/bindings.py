"""Rights as confluent-kafka's access-control bindings, and back."""

from typing import Any, cast, get_args

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from m0common.rights import Operation, Resource, Right

USER = "User:"
ANYWHERE = "*"
RESOURCES: dict[Resource, ResourceType] = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}
OPERATIONS: dict[Operation, AclOperation] = {name: AclOperation[name] for name in get_args(Operation)}
PATTERNS = {False: ResourcePatternType.LITERAL, True: ResourcePatternType.PREFIXED}


def binding_of(right: Right) -> AclBinding:
    """What grants `right`, from every host."""
    return AclBinding(*_fields(right))


def exactly(right: Right) -> AclBindingFilter:
    """What finds the binding of `right` and no other."""
    return AclBindingFilter(*_fields(right))


def everything() -> AclBindingFilter:
    """What finds every binding."""
    anything = cast("Any", None)  # the library takes None for it, and its types do not say so
    return AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        anything,
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )


def right_of(binding: AclBinding) -> Right | None:
    """What a binding grants; None for what only an operator makes: other kinds, hosts, denials."""
    resources = [name for name, kind in RESOURCES.items() if kind == binding.restype]
    operations = [name for name, kind in OPERATIONS.items() if kind == binding.operation]
    prefixed = [name for name, kind in PATTERNS.items() if kind == binding.resource_pattern_type]
    plain = binding.permission_type == AclPermissionType.ALLOW and binding.host == ANYWHERE
    if not (resources and operations and prefixed and plain and binding.principal.startswith(USER)):
        return None
    return Right(binding.principal.removeprefix(USER), resources[0], binding.name, operations[0], prefixed[0])


def _fields(right: Right) -> tuple[Any, ...]:  # of as many types as there are fields
    return (
        RESOURCES[right.resource],
        right.name,
        PATTERNS[right.prefixed],
        f"{USER}{right.principal}",
        ANYWHERE,
        OPERATIONS[right.operation],
        AclPermissionType.ALLOW,
    )
