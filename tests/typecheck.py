"""The check of array shapes that the tests switch on: beartype, for annotations of arrays and no others.

Scalars, texts and whatever else a user types are refused by sentences of `meanfield._check`; beartype would answer before them.
"""

import dataclasses
import functools
import operator
import typing
from collections.abc import Callable

import beartype
import jaxtyping
from beartype.door import is_bearable
from beartype.vale import Is


def arrays(function: Callable) -> Callable:
    """The function with its arguments and its result checked, where their annotations name shapes."""
    hints = {name: hint for name, hint in function.__annotations__.items() if names_shapes(hint)}
    if not hints:
        return function
    function.__annotations__ = hints
    return beartype.beartype(function)


def arrays_and_pytrees(function: Callable) -> Callable:
    """`arrays` for modules of pytrees: their fields are checked where functions take or return them, not where they are made.

    jax makes them anew with tracers, with place holders that are no arrays, and with whatever a `tree.map` makes of an array.
    """
    if function.__name__ == "__init__":
        return function
    function.__annotations__ = {name: with_fields(hint) for name, hint in function.__annotations__.items()}
    return arrays(function)


def names_shapes(hint: typing.Any) -> bool:
    """Whether an annotation is a jaxtyping one or one with fields, or holds one."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return typing.get_origin(hint) is typing.Annotated or any(map(names_shapes, typing.get_args(hint)))


def with_fields(hint: typing.Any) -> typing.Any:
    """An annotation in which every dataclass whose fields name shapes has them checked, by the axes of the function."""
    if dataclasses.is_dataclass(hint) and (fields := shaped_fields(hint)):
        fit = lambda value: all(is_bearable(getattr(value, name), kind) for name, kind in fields.items())  # noqa: E731
        return typing.Annotated[hint, Is[fit]]
    origin, inner = typing.get_origin(hint), tuple(map(with_fields, typing.get_args(hint)))
    if inner == typing.get_args(hint):
        return hint
    return tuple[inner] if origin is tuple else functools.reduce(operator.or_, inner)


@functools.cache
def shaped_fields(kind: type) -> dict[str, typing.Any]:
    """The annotations of those fields that name shapes."""
    hints = {one.name: with_fields(one.type) for one in dataclasses.fields(kind)}
    return {name: hint for name, hint in hints.items() if names_shapes(hint)}
