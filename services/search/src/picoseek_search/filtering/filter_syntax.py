"""The filter language: a subset of AIP-160.

    item = "sku-7" AND (labels:"red shoe" OR attributes.price < 20) AND NOT id = "draft-*"

Fields are `id`, `item`, `labels` and `attributes.NAME`; operators `=`, `!=`, `<`, `<=`, `>`, `>=` and `:` (has).
`FIELD IN (a, "b", "c*")`, which AIP-160 has not, is met when `FIELD =` one of them is. A `*` at the end of a text
matches any rest; `FIELD:*` asks whether there is a value. AND and OR are mixed with parentheses only, since AIP-160 and
most other languages disagree about which binds tighter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

MAX_CHARACTERS = 4096
MAX_COMPARISONS = 100
MAX_DEPTH = 16

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<operator><=|>=|!=|[=<>:()])
      | (?P<word>[^\s"'()=<>!:]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_LIST_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<operator>[(),])
      | (?P<word>[^\s"'(),]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_SIGN = re.compile(r"\\(.)|(\*)|([^*\\]|\\$)", re.DOTALL)
_COMPARISONS = {"=", "!=", "<", "<=", ">", ">=", ":"}
_FIELD = re.compile(r"id|item|labels|attributes\.[a-z][a-z0-9_]{0,63}", re.ASCII)


class FilterError(ValueError):
    """A text that is no filter; the message says where and why."""


@dataclass(frozen=True)
class Comparison:
    """A field compared with a value."""

    field: str
    """"id", "item", "labels" or "attributes.NAME"."""
    operator: str
    """"=", "!=", "<", "<=", ">", ">=" or ":"."""
    value: str
    """The value as it was written, quotes and escapes resolved, a final "*" taken off."""
    prefix: bool
    """The value is the beginning of what is looked for."""

    @property
    def asks_presence(self) -> bool:
        """Whether any value will do."""
        return self.operator == ":" and self.prefix and not self.value


@dataclass(frozen=True)
class Membership:
    """A field compared with several values, one of which must be there."""

    field: str
    """See Comparison.field."""
    choices: tuple[Comparison, ...]
    """At least one, all with "="."""


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    operand: Condition


@dataclass(frozen=True)
class Junction:
    """Several conditions of which all or one must hold."""

    operator: str
    """"AND" or "OR"."""
    operands: tuple[Condition, ...]


Condition: TypeAlias = Comparison | Membership | Not | Junction


def parse(text: str) -> Condition:
    """Read a filter.

    Raises:
        FilterError: it is not one.
    """
    if len(text) > MAX_CHARACTERS:
        raise FilterError(f"it has {len(text)} characters, at most {MAX_CHARACTERS} are allowed")
    tokens, places = _tokens(text)
    parser = _Parser(tokens)
    try:
        return parser.whole()
    except FilterError as error:
        raise FilterError(f"{error} (at character {places[parser.taken - 1] + 1})" if tokens else str(error)) from error


def _tokens(text: str) -> tuple[list[tuple[str, str]], list[int]]:
    """Return kind and text of the tokens, and where each begins."""
    tokens: list[tuple[str, str]] = []
    places: list[int] = []
    place, text, in_list = 0, text.rstrip(), False
    while place < len(text):
        match = (_LIST_TOKEN if in_list else _TOKEN).match(text, place)
        if match is None:
            rest = text[place:].lstrip()
            cause = "its quote is not closed" if rest[0] in "\"'" else "texts with signs in them need quotes"
            raise FilterError(f"cannot read {rest[:20]!r}, {cause} (at character {len(text) - len(rest) + 1})")
        kind = str(match.lastgroup)
        if kind == "operator" and match[kind] in "()":
            in_list = match[kind] == "(" and tokens[-1:] == [("word", "IN")]
        tokens.append((kind, match[kind]))
        places.append(match.start(kind))
        place = match.end()
    return tokens, places


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self.taken = 0
        """Tokens that were looked at."""
        self._comparisons = 0

    def whole(self) -> Condition:
        condition = self.junction(0)
        if self.taken < len(self._tokens):
            token = self._next()[1]
            raise FilterError(f"{token!r} is not expected there{_capitals(token)}")
        return condition

    def junction(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise FilterError(f"it is nested deeper than {MAX_DEPTH}")
        operands = [self._term(depth)]
        operator = None
        while self._is_word("AND", "OR"):
            found = self._next()[1]
            if operator not in (None, found):
                raise FilterError("AND and OR stand side by side; say with parentheses what belongs together")
            operator = found
            operands.append(self._term(depth))
        return operands[0] if operator is None else Junction(operator, tuple(operands))

    def _term(self, depth: int) -> Condition:
        if self._is_word("NOT"):
            self._next()
            return Not(self._simple(depth))
        return self._simple(depth)

    def _simple(self, depth: int) -> Condition:
        kind, token = self._next()
        if (kind, token) == ("operator", "("):
            condition = self.junction(depth + 1)
            kind, token = self._next()
            if (kind, token) != ("operator", ")"):
                raise FilterError(f"a parenthesis is not closed{_capitals(token)}")
            return condition
        if (kind, token) == ("word", "NOT"):
            raise FilterError("NOT stands twice; leave out both, or write NOT (NOT ...)")
        if kind != "word" or not _FIELD.fullmatch(token):
            raise FilterError(
                f"{token!r} is no field; fields are id, item, labels and attributes.NAME{_capitals(token)}"
            )
        operator = self._next()[1]
        if operator not in _COMPARISONS and operator != "IN":
            if operator.upper() == "NOT":
                raise FilterError(f'NOT stands before the field: NOT {token} IN (a, "b")')
            raise FilterError(
                f"{token} is followed by {operator!r} instead of one of = != < <= > >= : IN{_capitals(operator)}"
            )
        self._count()
        return self._membership(token) if operator == "IN" else _comparison(token, operator, *self._next())

    def _membership(self, field: str) -> Membership:
        if self._next() != ("operator", "("):
            raise FilterError(f'{field} IN is followed by a list like (a, "b")')
        choices: list[Comparison] = []
        while True:
            choices.append(_comparison(field, "=", *self._next()))
            if choices[-1].prefix:
                self._count()
            found = self._next()
            if found == ("operator", ")"):
                return Membership(field, tuple(choices))
            if found != ("operator", ","):
                raise FilterError(f"the list of {field} IN has {found[1]!r} where a comma or ) belongs")

    def _count(self) -> None:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise FilterError(f"it has more than {MAX_COMPARISONS} comparisons")

    def _is_word(self, *words: str) -> bool:
        return self.taken < len(self._tokens) and self._tokens[self.taken] in [("word", word) for word in words]

    def _next(self) -> tuple[str, str]:
        if self.taken == len(self._tokens):
            raise FilterError("it ends too early")
        self.taken += 1
        return self._tokens[self.taken - 1]


def _capitals(token: str) -> str:
    """Return an advice where a word of the language was meant."""
    return f"; write {token.upper()} in capitals" if token != token.upper() in ("AND", "OR", "NOT", "IN") else ""


def _comparison(field: str, operator: str, kind: str, token: str) -> Comparison:
    if kind == "operator" or token in ("AND", "OR", "NOT"):
        raise FilterError(f"{token!r} stands where the value of {field} belongs")
    value, stars = "", []
    for escaped, star, plain in _SIGN.findall(token[1:-1] if kind == "text" else token):
        if star:
            stars.append(len(value))
        value += escaped or plain
    if stars not in ([], [len(value)]):
        raise FilterError(f"{token}: a * may stand at the end only; write \\* for the sign itself")
    if stars and operator not in ("=", "!=", ":"):
        raise FilterError(f"{token}: a * does not go with {operator}")
    return Comparison(field, operator, value, bool(stars))
