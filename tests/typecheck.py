"""The check of array shapes that the tests switch on: beartype, for annotations of arrays and no others.

Scalars, texts and whatever else a user types are refused by sentences of `meanfield._check`; beartype would answer before them.
"""

import typing
from collections.abc import Callable

import beartype
import jaxtyping


def arrays(function: Callable) -> Callable:
    """The function with its arguments and its result checked, where their annotations name shapes."""
    hints = {name: hint for name, hint in function.__annotations__.items() if names_shapes(hint)}
    if not hints:
        return function
    function.__annotations__ = hints
    return beartype.beartype(function)


def names_shapes(hint: typing.Any) -> bool:
    """Whether an annotation is a jaxtyping one, or holds one."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(names_shapes, typing.get_args(hint)))
